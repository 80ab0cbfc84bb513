"""Noise for people's eyes and disks: one video, a sheet of all noises, a corrupted copy of a test set.

`conditions` reads how people name conditions, `write_video` turns frames into files, `one_video`, `sheet` and `export`
make the three, `cli` has the commands. Everything goes through the project's decoder and `corruptions.corrupt`, so what is
shown or stored is what the harness computes on the fly.
"""
