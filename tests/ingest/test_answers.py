import orjson

from gateway.ingest import answers
from gateway.ingest.answers import Answer, Wire

CATALOGUE = [each for each in vars(answers).values() if isinstance(each, Answer)]


def test_errors_are_small_json():
    """Every refusal has a code and a sentence; our own faults are 503 with Retry-After."""
    for answer in CATALOGUE:
        if answer is not answers.STORED:
            error = orjson.loads(answer.body)["error"]
            assert error == {"code": answer.code, "message": answer.message}
        assert answer.status < 500 or "Retry-After" in dict(answer.headers)
        assert answer.status <= 500 or answer.status == 503


def test_a_rendered_answer_lives_for_a_second():
    """Within a second the same bytes are given again; the next second has a new Date."""
    wire = Wire(0.0)
    first = wire.render(answers.STORED, close=False)
    wire.tick(0.9)
    assert wire.render(answers.STORED, close=False) is first
    wire.tick(1.0)
    assert b"Date: Thu, 01 Jan 1970 00:00:01 GMT\r\n" in wire.render(answers.STORED, close=False)
    assert b"Connection: close\r\n" in wire.render(answers.STORED, close=True)
