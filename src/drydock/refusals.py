"""Says why S3 refused to write an object, as far as its answer tells.

``Access Denied`` is what S3 says of a caller that may not write, of a bucket whose own policy takes
objects with another encryption alone, and of a key that the caller may not use. Inside one account
S3 says which kind of policy it was; of requests from other accounts it says no more than the two
words. https://docs.aws.amazon.com/AmazonS3/latest/userguide/troubleshoot-403-errors.html
"""

_BY_BUCKET = "explicit deny in a resource-based policy"
_BY_CALLER = "no identity-based policy allows"
_BY_ENDPOINT = "VPC endpoint policy"
_BARE = ("access denied", "forbidden")


def refused_put(uri: str, kms_key_id: str | None, said: str) -> str:
    """One sentence or two about an object that S3 did not take.

    ``uri`` is where it should have gone, ``kms_key_id`` the key that it was sent with (None:
    AES256), ``said`` what S3 answered.
    """
    sent = f"aws:kms with the key {kms_key_id}" if kms_key_id else "AES256"
    told = f"S3 refused to write {uri}, which was sent with the encryption {sent}: {said}"
    why = _why(kms_key_id, said)
    return f"{told}. {why}" if why else told


def _why(kms_key_id: str | None, said: str) -> str:
    if "kms:" in said:
        return "The key is not the caller's to use: its policy or the role's must allow that"
    if _BY_BUCKET in said:
        return f"The bucket's own policy denies it: {_other_encryption(kms_key_id)}"
    if _BY_CALLER in said or _BY_ENDPOINT in said:
        return ""
    if said.lower().rstrip(".").endswith(_BARE):
        return (
            "Either the caller may not write there (s3:PutObject), or the bucket's own policy "
            f"denies it: {_other_encryption(kms_key_id)}"
        )
    return ""


def _other_encryption(kms_key_id: str | None) -> str:
    if kms_key_id is None:
        return (
            "if it demands aws:kms, set the stack's parameter KmsKeyId to the key that it names "
            "(aws s3 cp takes --sse aws:kms --sse-kms-key-id)"
        )
    return (
        "if it demands AES256 or another key, change the stack's parameter KmsKeyId, empty for "
        "AES256 (aws s3 cp takes --sse AES256)"
    )
