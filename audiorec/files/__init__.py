"""Files that are written whole or not at all, and files that prove to be what they should be.

atomic         replace a file at once; a full disk becomes one clear line
run_folder     the locked folder beside an output that holds an unfinished run
own_files      audiorec's own working files, told from what was planted under their names
parquet_files  Parquet with checksums and a sealed footer, opened and made
json_files     JSON with a digest of its content, read within limits
times          a file's time of change as an int64, whatever the file system says
"""
