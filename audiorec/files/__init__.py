"""Files that are written whole or not at all, and read with distrust.

::

    a user's list, CSV, Parquet ──user_files──▶ texts, rows, tables; or one `InputError`
    tables of our own ──tables──▶ `TableFile`: columns, row groups; or one `StoreError`
                      ◀─tables── rows, with checksums, a seal and digests
    a job that may be killed ──run_folder, blocks──▶ one file, at once and whole
    "s3://bucket/song.mp3" ──storage, fetch──▶ a copy on this machine's disk
    "s3://bucket/plays" ──copies──▶ the same, kept within bounds ◀─delivery── what a command made

==================  ===================================================================
``atomic``          replace a file at once; a full disk becomes one clear line
``below``           open what lies below a folder that the user named, by no link
``own_files``       tell audiorec's own working files from what was planted as such
``run_folder``      the locked folder beside an output that holds an unfinished run
``blocks``          one large table made in blocks, by a job that may be killed
``parquet_files``   how every Parquet file is opened: checksums, the seal, no bombs
``digests``         a digest of each column, by value, in the footer of our tables
``tables``          read and write tables of our own
``npz``             arrays that a user hands in, measured before they are unpacked
``user_files``      read lists, settings and tables that a user hands in
``own_settings``      the user's own settings, and which folder's file may speak as well
``own_data``        where what a user adds to audiorec lies
``settings``          settings files as typed values; the one reader of them
``json_files``      JSON within limits, with a digest of its content
``arrow``           convert between Python and Arrow without importing pandas
``storage``         files by path or URI; times of change that fit a table
``fetch``           songs in object stores: copied to the worker's disk, used, removed
``copies``          all else in object stores: copied once, within bounds
``delivery``        outputs in object stores: made here, put at the end, nothing lost
``visible``         show text from outside: a name may not steer a terminal
``text_tables``     small tables as text, and as HTML for a notebook
``frames``          tables for pandas and polars, imported when somebody asks
==================  ===================================================================

Public::

    atomic       replaced
    below        split_below, open_below, folder_below
    own_files    refuse_link, read_own
    run_folder   look_into, run_folder_path
    tables       TableFile
    storage      is_folder, is_uri, join, write
    copies       local_folder, with_local
    delivery     Delivery, Revision
    own_settings  FILE, Layer, Standing, Whose, layers, parsed_settings, read_folder_file, revoke,
                 trust, user_file
    settings     as_type, filled, parsed, read_settings, typed
    user_files   read_lines
    json_files   parse_json
    npz          read_npz
    visible      visible, visible_json, visible_lines
    text_tables  text_table, html_table, clock
"""
