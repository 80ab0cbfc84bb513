"""From files on disk to a Dataset: one data set a file, which states its layout, official files, sizes and sources."""
