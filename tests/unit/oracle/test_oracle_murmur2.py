import pytest

from tests.oracle.murmur2 import murmur2, partition_of, partition_of_lead

# From Kafka's own UtilsTest.testMurmur2.
KNOWN_ANSWERS = {
    b"21": -973932308,
    b"foobar": -790332482,
    b"a-little-bit-long-string": -985981536,
    b"a-little-bit-longer-string": -1486304829,
    b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
    b"abc": 479470107,
}


@pytest.mark.parametrize(("key", "hashed"), KNOWN_ANSWERS.items(), ids=lambda value: str(value)[:20])
def test_the_answers_of_kafka(key, hashed):
    """The hash gives the answers that Kafka's own test has."""
    assert murmur2(key) == hashed


def test_a_negative_hash_loses_its_sign_bit_only():
    """`toPositive` drops the sign bit; it is not the absolute value."""
    assert partition_of(b"21", 7) == (-973932308 + 2**31) % 7
    assert partition_of_lead("abc", 12) == 479470107 % 12
