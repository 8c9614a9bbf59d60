"""Files that are written whole or not at all, and working files that prove to be ours.

atomic       replace a file at once; a full disk becomes one clear line
own_files    audiorec's own working files, told from what was planted under their names
times        a file's time of change as an int64, whatever the file system says
run_folder   the locked folder beside an output that holds an unfinished run
"""
