"""How every test ends that kills, freezes or overloads something: with the ledger."""

from support.load import Load, assert_in_order
from support.receiver import Receiver
from support.running_gateway import RunningGateway


async def assert_nothing_lost(
    gateway: RunningGateway, load: Load, receiver: Receiver, *, within_s: float = 60
) -> int:
    """Every acked event was delivered; repeats are counted; calls kept their order.

    Returns how many were delivered a second time.
    """
    ledger = await gateway.settled(within_s=within_s)
    delivered = receiver.bodies
    lost = set(load.acked) - set(delivered)
    assert not lost, f"{len(lost)} of {len(load.acked)} acked events lost"
    account = ledger["subscribers"]["app"]
    assert account["delivered"] == ledger["overall"]["published"] == len(set(delivered))
    assert_in_order(delivered)
    return len(delivered) - len(set(delivered))
