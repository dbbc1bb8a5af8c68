"""What the C piece does with outlets that are not of the kind that it knows."""

import pytest

from gateway import native

pytestmark = pytest.mark.skipif(native.relay is None, reason="the C piece is not built here")


class Other:
    """An outlet that the C piece does not know."""

    def __init__(self):
        self.got = []

    def relay(self, frames):
        self.got.append(frames)


def test_an_outlet_of_another_kind_is_asked():
    """What is no outlet, or no bytes, is an error."""
    other = Other()
    native.relay({1: other, 2: other}, b"x")
    assert other.got == [b"x", b"x"]
    for arguments in [({}, "text"), ([], b"x"), ({},), ()]:
        with pytest.raises(TypeError):
            native.relay(*arguments)
    with pytest.raises(AttributeError):
        native.relay({1: None}, b"x")
    with pytest.raises(TypeError):
        native.relay_by(1)
    with pytest.raises(AttributeError):
        native.relay_by(int)


def test_a_crowd_larger_than_one_look_is_sent_to_in_order():
    """Everybody is asked once; who leaves while another is asked gets nothing any more."""
    outlets = {number: Other() for number in range(700)}

    def leave(frames):
        del outlets[600]
        outlets[3].got.append(frames)

    gone, outlets[3].relay = outlets[600], leave
    native.relay(outlets, b"x")
    assert [one.got for one in outlets.values()] == [[b"x"]] * 699
    assert gone.got == []
