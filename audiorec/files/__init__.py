"""File access: atomic writes, and reads that validate untrusted input.

::

    a user's list, CSV, Parquet ──user_files──▶ texts, rows, tables; or one `InputError`
    tables of our own ──tables──▶ `TableFile`: columns, row groups; or one `StoreError`
                      ◀─tables── rows, with checksums, a seal and digests
    a job that may be killed ──run_folder, blocks──▶ one file, written atomically
    "s3://bucket/song.mp3" ──storage, fetch──▶ a temporary copy on the local disk
    "s3://bucket/plays" ──copies──▶ a cached copy of limited size ◀─delivery── command outputs

=================  ===================================================================
``atomic``         replace a file atomically; remove what killed jobs left; a full disk is one line
``below``          open files below a given folder without following links
``own_files``      distinguish audiorec's own working files from planted ones
``run_folder``     the locked folder beside an output that holds an unfinished run
``blocks``         write one large table in blocks; an interrupted job resumes
``parquet_files``  open Parquet files safely: checksums, the seal, memory limits
``digests``        a digest of each column's values, in the footer of our tables
``tables``         read and write audiorec's own tables
``npz``            read npz archives given by users, checking sizes before unpacking
``user_files``     read lists, settings and tables given by users
``own_settings``   find the user's settings file and trusted settings files of folders
``own_data``       the folder for data that a user adds to audiorec
``settings``       read settings files as typed values
``json_files``     read JSON within limits, with a digest of its content
``arrow``          convert between Python and Arrow without importing pandas
``storage``        access files by path or URI; modification times that fit a table
``fetch``          songs in object stores: downloaded, processed, removed
``copies``         other files in object stores: cached copies of limited total size
``delivery``       outputs in object stores: written locally, uploaded at the end
``visible``        escape untrusted text so that it cannot control a terminal
``text_tables``    small tables as text, and as HTML for a notebook
``frames``         tables for pandas and polars, which are imported on first use
=================  ===================================================================

Public::

    atomic        replaced, remove_leftovers, write_errors, NO_ROOM
    below         split_below, open_below, folder_below
    own_files     refuse_link, read_own
    run_folder    unfinished_files, run_folder_path
    tables        TableFile
    storage       is_folder, is_uri, join, write
    copies        local_folder, with_local
    delivery      Delivery, Revision
    own_settings  FILE, SettingsLayer, TrustStatus, SettingsOwner, layers, parsed_settings,
                  read_folder_file, revoke, trust, user_file
    settings      as_type, from_table, parse_value, read_settings, as_field_type
    user_files    read_lines
    json_files    parse_json
    npz           read_npz
    visible       visible, visible_json, visible_lines
    text_tables   text_table, html_table, clock
"""
