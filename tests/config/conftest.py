"""What tests of the configuration share."""

from pathlib import Path

import pytest
import trustme


@pytest.fixture
def certificates(tmp_path: Path) -> Path:
    authority = trustme.CA()
    issued = authority.issue_cert("localhost")
    folder = tmp_path / "tls"
    folder.mkdir()
    authority.cert_pem.write_to_path(folder / "ca.pem")
    issued.private_key_pem.write_to_path(folder / "key.pem")
    for blob in issued.cert_chain_pems:
        blob.write_to_path(folder / "cert.pem", append=True)
    return folder
