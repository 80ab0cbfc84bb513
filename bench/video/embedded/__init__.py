"""Generated videos: two families of real H.264 files that any machine can make.

In *appearance* one frame tells the class and the motion is random; in *motion* only the order of frames tells it and
the looks are random. Everything is drawn with integers, so that the frames are the same on every machine; what an
encoder makes of them is watched by the suite, which pins the digest of the decoded frames. `sets` says what there is.

    draws.py     random integers as a function of names
    circle.py    sine and cosine as an exact integer table
    textures.py  backgrounds and grain
    figures.py   shapes and the patterns on them
    scene.py     a background, a camera, figures on paths: to frames
    motion.py    the motion family: parameters, classes, scene
    appearance.py  the appearance family
    encode.py    frames to an H.264 file
    sets.py      splits, ids, writing files
"""
