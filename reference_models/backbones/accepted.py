"""The sentences with which a backbone says which clips it takes: None if it takes this one, else why not."""


def at_least(name: str, clip: tuple[int, int, int], frames: int, size: int) -> str | None:
    """Any clip of at least that many frames, rows and columns; `clip` is (frames, height, width)."""
    if clip[0] < frames:
        return f"{name} takes clips of at least {frames} frames, not {clip[0]}"
    if min(clip[1:]) < size:
        return f"{name} takes frames of at least {size} x {size} pixels, not {clip[1]} x {clip[2]}"
    return None


def multiples(name: str, clip: tuple[int, int, int], frames: int, size: int) -> str | None:
    """Whole patches only."""
    if clip[0] < 1 or clip[0] % frames:
        return f"{name} takes clips whose number of frames is a multiple of {frames}, not {clip[0]}"
    if min(clip[1:]) < 1 or clip[1] % size or clip[2] % size:
        return f"{name} takes frames whose sides are multiples of {size} pixels, not {clip[1]} x {clip[2]}"
    return None


def exactly(name: str, clip: tuple[int, int, int], frames: int, size: int) -> str | None:
    """The one clip that the position tables are made for."""
    if clip != (frames, size, size):
        here = " x ".join(map(str, clip))
        return (
            f"this {name} is built for clips of {frames} x {size} x {size}, not {here}; "
            f"its name with @frames x size builds another"
        )
    return None
