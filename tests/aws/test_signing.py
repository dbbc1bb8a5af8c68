"""Our signatures, beside those of AWS' own library."""

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as Theirs
from hypothesis import given
from hypothesis import strategies as st

from gateway.aws.signing import Credentials, Signer

HEADERS = {
    "Host": "sqs.eu-west-1.amazonaws.com",
    "Content-Type": "application/x-amz-json-1.0",
    "X-Amz-Target": "AmazonSQS.SendMessage",
}
texts = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1)


def their_authorization(credentials, body, now):
    url = f"https://{HEADERS['Host']}/"
    signed_headers = {name: text for name, text in HEADERS.items() if name != "Host"}
    request = AWSRequest("POST", url, headers=signed_headers, data=body)
    auth = SigV4Auth(Theirs(*credentials), "sqs", "eu-west-1")
    request.context["timestamp"] = now
    request.headers["X-Amz-Date"] = now
    if credentials.token:
        request.headers["X-Amz-Security-Token"] = credentials.token
    signature = auth.signature(
        auth.string_to_sign(request, auth.canonical_request(request)), request
    )
    auth._inject_signature_to_request(request, signature)
    return request.headers["Authorization"]


@given(
    st.builds(Credentials, texts, texts, st.one_of(st.just(""), texts)),
    st.binary(),
    st.datetimes().map(lambda when: f"{when:%Y%m%dT%H%M%SZ}".rjust(16, "0")),
)
def test_a_signature_is_the_one_that_aws_expects(credentials, body, now):
    """For any keys, body and time our signature is botocore's."""
    signed = Signer(region="eu-west-1", service="sqs").sign(
        credentials, headers=HEADERS, body=body, now=now
    )
    assert signed["Authorization"] == their_authorization(credentials, body, now)


def test_a_signer_serves_any_keys_on_any_day():
    """The key that is kept belongs to one secret and one day."""
    signer = Signer(region="eu-west-1", service="sqs")
    for credentials in (Credentials("a", "b"), Credentials("a", "c", "t")):
        for now in ("20260101T000000Z", "20260102T000000Z", "20260101T000000Z"):
            signed = signer.sign(credentials, headers=HEADERS, body=b"{}", now=now)
            assert signed["Authorization"] == their_authorization(credentials, b"{}", now)


def test_credentials_do_not_show_their_secrets():
    """Neither the key nor the token is in the text that a traceback would show."""
    assert repr(Credentials("AKIA", "hush", "hidden")) == "Credentials(AKIA)"
