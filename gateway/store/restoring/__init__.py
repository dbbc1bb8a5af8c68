"""Subscribers are never forgotten by accident: whom Redis has lost is put back.

    known        what is known of subscribers, kept beside the journal
    lives        whether a shard is still the one that it was
    loss         what it means that Redis knows less than we remember
    new_groups   groups that were lost are made again, from where they must begin
    restorer     the whole of it, before anything is published again

Before a subscriber is back nothing is published, so nobody's events pass him by.
"""
