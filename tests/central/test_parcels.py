"""A parcel that somebody reads is not written over."""

from pathlib import Path

from branchline.central.parcels import Parcels
from branchline.foundation.blobs import FolderBlobs


def test_what_is_read_never_becomes_another_file(tmp_path: Path) -> None:
    """A mapped file that is cut would end the program; what nobody reads becomes the next file."""
    blobs = FolderBlobs(tmp_path / "blobs")
    parcels = Parcels(tmp_path / "incoming", blobs)
    read, idle = blobs.put(b"r" * 9000), blobs.put(b"i" * 9000)
    mapped = blobs.mapped(read)
    with parcels.reading([read, read]), parcels.reading([read]):
        pass
    with parcels.reading([read]):
        parcels.let_go([read, idle])
        (spare,) = (tmp_path / "incoming" / "spares").iterdir()
        assert spare.read_bytes() == b"i" * 9000
        assert bytes(mapped) == b"r" * 9000
    assert not blobs.has(read)
    assert not blobs.has(idle)
    again = blobs.put(b"r" * 9000)
    parcels.let_go([again])
    assert len(list((tmp_path / "incoming" / "spares").iterdir())) == 2
