"""Which slot a key has: the server's answer is the one that counts."""

from hypothesis import given
from hypothesis import strategies as st
from support.ports import free_ports
from support.servers import Server, data_lines

from gateway.engine.cluster import slot_of
from gateway.store import keys

ODD = ["", "{", "}", "{}", "{}x", "x{}", "}{x}", "{x}{y}", "{{x}}", "x{y}z", "{x", "x}", "{é}", "ü"]


async def test_our_slots_are_the_servers(tmp_path):
    """For keys of ours, odd braces, and whatever else is in a name."""
    told = list(ODD)
    told += [keys.events(shard) for shard in range(keys.SHARDS)]

    @given(st.text(alphabet="{}ab\udc80é:", max_size=12))
    def collect(name):
        told.append(name)

    collect()
    node, bus = free_ports(2)
    server = Server(tmp_path, node, data_lines("cluster-enabled yes", f"cluster-port {bus}"))
    await server.start()
    try:
        for name in told:
            raw = name.encode(errors="surrogateescape")
            slot = await server.client.execute_command("CLUSTER", "KEYSLOT", raw)
            assert slot_of(name) == slot, name
    finally:
        await server.close()
