"""What botocore costs with the session that is for S3 alone, beside the one that has everything.

A client is made, then reads pages of a LIST of 1,000 keys, in a fresh interpreter each; answers are
given to it as bytes, so that no server's time is in it. The least of nine times, in milliseconds of
CPU.

usage: python benchmarks/s3_session.py
"""

import io
import os
import time
from collections.abc import Callable

import botocore.session
from _measure import measure, table
from botocore.awsrequest import AWSPreparedRequest, AWSResponse

from drydock.s3_session import S3Session

REPEATS = 9
_OBJECT = """<Contents><Key>library/ligands-%06d.pdbqt</Key>
<LastModified>2026-11-20T01:02:03.000Z</LastModified>
<ETag>&quot;0123456789abcdef0123456789abcdef&quot;</ETag><ChecksumAlgorithm>CRC32</ChecksumAlgorithm>
<Size>%d</Size><StorageClass>STANDARD</StorageClass></Contents>"""
_PAGE = """<ListBucketResult><IsTruncated>false</IsTruncated><KeyCount>1000</KeyCount>
<EncodingType>url</EncodingType>%s</ListBucketResult>"""
PAGE = (_PAGE % "".join(_OBJECT % (n, n) for n in range(1000))).encode()


class _Body(io.BytesIO):
    """An answer's bytes as urllib3 gives them."""

    def stream(self) -> list[bytes]:
        return [self.read()]


def answer(request: AWSPreparedRequest, **_: object) -> AWSResponse:
    """The page, whatever is asked."""
    return AWSResponse(request.url, 200, {}, _Body(PAGE))


def whole() -> tuple[float, float]:
    """The session that botocore makes."""
    return _times(botocore.session.get_session)


def for_s3_alone() -> tuple[float, float]:
    """Ours."""
    return _times(S3Session)


def _times(session: Callable[[], botocore.session.Session]) -> tuple[float, float]:
    """Milliseconds to make a client, and to read a page."""
    began = time.process_time()
    client = session().create_client("s3")
    made_s = time.process_time() - began
    client.meta.events.register("before-send.s3", answer)
    pages = []
    for _ in range(REPEATS):
        began = time.process_time()
        page = client.list_objects_v2(Bucket="lab")
        pages.append(time.process_time() - began)
        if len(page["Contents"]) != 1000:
            raise SystemExit("the page was not read")
    return made_s * 1000, min(pages) * 1000


def main() -> None:
    """Print both, and their ratios."""
    rows, firsts = [], None
    for name, candidate in (("botocore's session", whole), ("for S3 alone", for_s3_alone)):
        taken = [measure(candidate) for _ in range(REPEATS)]
        made, page = (min(each) for each in zip(*(each.result for each in taken), strict=True))
        mib = min(each.peak_mib for each in taken)
        firsts = firsts or (made, page)
        ratios = [f"{ours / theirs:.2f}" for ours, theirs in zip((made, page), firsts, strict=True)]
        rows.append((name, f"{made:.1f}", ratios[0], f"{page:.1f}", ratios[1], f"{mib:.1f}"))
    table(("session", "ms a client", "ratio", "ms a page of 1,000", "ratio", "MiB"), rows)


if __name__ == "__main__":
    os.environ |= {
        "AWS_ACCESS_KEY_ID": "none",
        "AWS_SECRET_ACCESS_KEY": "none",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    main()
