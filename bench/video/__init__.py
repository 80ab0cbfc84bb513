"""From video files to uint8 clips: what exists, which frames make a clip, and what a pixel is.

`index` names videos and sets, `datasets` reads them from disk (one file each), `sampling` says which frames make a
clip, `decode` and `resize` say what a pixel is, `frame_store` keeps the frames of a set for fast reading, and `stream`
hands out whole videos at native resolution for noise at source. `check` says what is there of a data set, `subset` takes a
part of it, `golden` whether this machine decodes as all others. Nothing here imports torch, and only `decode` and what
writes videos need av.
"""
