"""Listening histories in the forms in which services and servers write them, made for tests.

Each function writes one sample: fields, nesting, units and names of files are those of the service.
The songs are those of `good_store` ("a/one.flac": Eins), where a service knows them.
"""

import json
import sqlite3
import zipfile

import pyarrow as pa
import pyarrow.parquet as pq

NOON = 1_709_294_400  # 2024-03-01 12:00:00 UTC
MBID = "8f3471b5-7e6a-48da-86a9-c1c07a0f47ae"


def listen(at, artist, title, *, album="", mbid=None, msid="m1", **more):
    """Return a listen as ListenBrainz' export has it: one line of ``listens/2024/3.jsonl``."""
    mapped = None if mbid is None else {"recording_mbid": mbid, "artist_mbids": [], "caa_id": 1}
    return {
        "listened_at": at,
        "inserted_at": at + 3.25,
        "track_metadata": {
            "artist_name": artist,
            "track_name": title,
            "release_name": album,
            "recording_msid": msid,
            "additional_info": {"submission_client": "mpdscribble", "duration_ms": 15_500, **more},
            "mbid_mapping": mapped,
        },
    }


def write_listenbrainz(path, *, damaged=False):
    """Write the zip of an account: listens of two months, feedback, a pinned recording."""
    first = [
        listen(NOON, "Ayla", "Eins", album="Zahlen", msid="m-eins"),
        listen(float(NOON + 60), "nobody", "gone", mbid=MBID.upper(), msid="m-three"),
    ]
    second = [listen(NOON + 86_400, "Someone", "Else", msid="m-else")]
    feedback = [
        {"recording_msid": "m-eins", "recording_mbid": None, "score": 1, "created": NOON + 5},
        {"recording_msid": "x", "recording_mbid": MBID, "score": -1, "created": NOON + 6},
        {"recording_msid": "m-else", "recording_mbid": None, "score": 0, "created": NOON + 7},
        {"recording_msid": "never-heard", "recording_mbid": None, "score": 1, "created": NOON},
    ]
    pinned = [{"recording_msid": "m-eins", "blurb_content": "!", "created": NOON}]
    lines = {
        "user.json": [{"user_id": 7, "username": "ana"}],
        "listens/2024/3.jsonl": first,
        "listens/2024/10.jsonl": second,
        "feedback.jsonl": feedback,
        "pinned_recording.jsonl": pinned,
    }
    texts = {n: "\n".join(map(json.dumps, rows)) + "\n" for n, rows in lines.items()}
    if damaged:
        texts["listens/2024/3.jsonl"] += '{"listened_at": "soon", "track_metadata": {}}\n{"cut\n7\n'
    return write_zip(path, texts)


def write_zip(path, texts):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in texts.items():
            archive.writestr(name, text)
    return path


def write_lastfm_csv(path, *, damaged=False):
    """Write the CSV of an export by ``uts``, as lastfm.ghan.nl has it."""
    rows = [
        "uts,utc_time,artist,artist_mbid,album,album_mbid,track,track_mbid",
        f'"{NOON}","01 Mar 2024, 12:00","AYLA ","","Zahlen","","eins",""',
        f'"{NOON + 60}","01 Mar 2024, 12:01","Nobody","","","","Gone","{MBID}"',
        f'"{NOON + 90}","01 Mar 2024, 12:01","Some, One","","","","Else",""',
    ]
    if damaged:
        rows += [
            "only,three,cells",
            '"soon","","Ayla","","","","Eins",""',
            '"","","","","","","",""',
        ]
    path.write_text("\n".join(rows) + "\n")
    return path


def api_track(at, artist, title, *, album="", mbid="", playing=False):
    """Return a track as ``user.getRecentTracks`` has it in JSON."""
    track = {
        "artist": {"mbid": "", "#text": artist},
        "streamable": "0",
        "image": [{"size": "small", "#text": ""}],
        "mbid": mbid,
        "album": {"mbid": "", "#text": album},
        "name": title,
        "url": "https://www.last.fm/music/x",
    }
    if playing:
        return track | {"@attr": {"nowplaying": "true"}}
    return track | {"date": {"uts": str(at), "#text": "01 Mar 2024, 12:00"}}


def write_lastfm_json(path, *, damaged=False):
    """Write pages of the API, one after the other in a list."""
    pages = [
        {"recenttracks": {"track": [api_track(0, "Ayla", "Eins", playing=True),
                                    api_track(NOON, "Ayla", "Eins", album="Zahlen")],
                          "@attr": {"user": "ana", "page": "1"}}},
        {"recenttracks": {"track": [api_track(NOON + 60, "No", "Body", mbid=MBID)]}},
    ]  # fmt: skip
    if damaged:
        pages.append({"recenttracks": {"track": [{"name": "without a time"}, 7]}})
    path.write_text(json.dumps(pages, indent=1))
    return path


def stream(ended, ms, artist, title, *, why="trackdone", skipped=False, **more):
    """Return a stream of Spotify's extended history."""
    return {
        "ts": ended,
        "platform": "android",
        "ms_played": ms,
        "conn_country": "DE",
        "ip_addr": "203.0.113.7",
        "master_metadata_track_name": title,
        "master_metadata_album_artist_name": artist,
        "master_metadata_album_album_name": "Zahlen" if title else None,
        "spotify_track_uri": f"spotify:track:{title}" if title else None,
        "episode_name": None,
        "episode_show_name": None,
        "spotify_episode_uri": None,
        "audiobook_title": None,
        "reason_start": "clickrow",
        "reason_end": why,
        "shuffle": False,
        "skipped": skipped,
        "offline": False,
        "offline_timestamp": None,
        "incognito_mode": False,
        **more,
    }


def write_spotify(path, *, damaged=False):
    """Write the zip of the extended history: music of two years, and videos."""
    first = [
        stream("2024-03-01T12:00:15Z", 15_000, "Ayla", "Eins"),
        stream("2024-03-01T12:01:00Z", 3_100, "Ayla", "Eins", why="fwdbtn", skipped=True),
        stream("2024-03-01T12:02:00Z", 9_000, "Else", "Where", why="logout"),
        stream("2024-03-01T13:00:00Z", 60_000, None, None, episode_name="Talk"),
    ]
    second = [stream("2025-01-01T00:00:00Z", 90_000, "Ayla", "Eins")]
    texts = {
        "Spotify Extended Streaming History/Streaming_History_Audio_2023-2024_0.json": first,
        "Spotify Extended Streaming History/Streaming_History_Audio_2025_1.json": second,
        "Spotify Extended Streaming History/Streaming_History_Video_2024.json": [
            stream("2024-03-01T12:00:15Z", 15_000, "Ayla", "Clip")
        ],
        "Spotify Extended Streaming History/ReadMeFirst.pdf": [],
    }
    texts = {name: json.dumps(rows, indent=2) for name, rows in texts.items()}
    if damaged:
        bad = [
            *first,
            stream("yesterday", 1, "A", "B"),
            stream("2024-03-01T12:00:15Z", -5, "A", "B"),
            7,
        ]
        name = next(iter(texts))
        texts[name] = json.dumps(bad)
    return write_zip(path, texts)


def write_yambda(path, *, damaged=False, sequential=False):
    """Write ``listens.parquet``: uint32 columns, times in fives from an unknown beginning."""
    columns = {
        "uid": [10, 10, 20],
        "timestamp": [15_929_455, 15_929_460, 18_111_700],
        "item_id": [1, 2, 3],
        "is_organic": [1, 0, 1],
        "played_ratio_pct": [100, 37, 160],
        "track_length_seconds": [200, 180, 240],
    }
    types = {"is_organic": pa.uint8(), "played_ratio_pct": pa.uint16()}
    arrays = {n: pa.array(v, types.get(n, pa.uint32())) for n, v in columns.items()}
    if damaged:
        arrays["item_id"] = pa.array([1, None, 3], pa.uint32())
    table = pa.table(arrays)
    if sequential:
        names = [n for n in table.column_names if n != "uid"]
        rows = [{"uid": 10, **{n: columns[n][:2] for n in names}},
                {"uid": 20, **{n: columns[n][2:] for n in names}}]  # fmt: skip
        table = pa.Table.from_pylist(rows)
    pq.write_table(table, path)
    return path


NAVIDROME = """
CREATE TABLE user (id varchar primary key, user_name varchar, password varchar);
CREATE TABLE library (id integer primary key, name text, path text);
CREATE TABLE media_file (
    id varchar primary key, path varchar, title varchar, album varchar, artist varchar,
    duration real, mbz_recording_id varchar, library_id integer
);
CREATE TABLE annotation (
    user_id varchar, item_id varchar, item_type varchar, play_count integer, play_date datetime,
    rating integer, starred bool, starred_at datetime
);
"""
SCROBBLES = (
    "CREATE TABLE scrobbles (media_file_id varchar, user_id varchar, submission_time integer)"
)


def write_navidrome(path, *, damaged=False, scrobbles=False):
    """Write a database with two users; times as Go writes them."""
    with sqlite3.connect(path) as database:
        database.executescript(NAVIDROME)
        database.executemany("INSERT INTO user VALUES (?, ?, 'x')", [("u1", "ana"), ("u2", "ben")])
        database.execute("INSERT INTO library VALUES (1, 'Music', '/music')")
        songs = [
            ("s1", "a/one.flac", "Eins", "Zahlen", "Ayla", 15.5, "", 1),
            ("s3", "else/three.mp3", "Drei", "", "", 15.5, MBID, 1),
            ("s9", "else/nine.mp3", "Neun", "", "Else", 200, "", 1),
        ]
        database.executemany("INSERT INTO media_file VALUES (?,?,?,?,?,?,?,?)", songs)
        when = "2024-03-01 13:00:00.123456789+01:00"
        rows = [
            ("u1", "s1", "media_file", 5, when, 0, 1, "2024-03-01T12:00:00Z"),
            ("u2", "s3", "media_file", 2, "2024-03-01 12:00:00", 5, 0, None),
            ("u2", "s9", "media_file", 1, when, 1, 0, None),
            ("u1", "al", "album", 9, when, 0, 1, when),
        ]
        if damaged:
            rows += [("u1", "gone", "media_file", 1, when, 0, 0, None),
                     ("u1", "s1", "media_file", 3, "never", 0, 0, None)]  # fmt: skip
        database.executemany("INSERT INTO annotation VALUES (?,?,?,?,?,?,?,?)", rows)
        if scrobbles:
            database.execute(SCROBBLES)
            plays = [("s1", "u1", NOON + n) for n in range(3)]
            database.executemany("INSERT INTO scrobbles VALUES (?,?,?)", plays)
    database.close()
    return path


LYRION = """CREATE TABLE tracks_persistent (
    id INTEGER PRIMARY KEY AUTOINCREMENT, urlmd5 char(32) NOT NULL default '0', url text NOT NULL,
    musicbrainz_id varchar(40), added int(10), rating tinyint(1), playCount int(10),
    lastPlayed int(10)
)"""


def write_lyrion(path, *, damaged=False):
    """Write ``persist.db``: addresses with escapes, a song that was never played, a rating."""
    rows = [
        ("file:///music/a/one.flac", None, NOON, 0, 4, NOON + 60),
        ("file:///mnt/b/%C3%A9t%C3%A9.mp3", None, NOON, 100, 1, NOON + 90),
        ("file:///music/a/two.flac", None, NOON, 0, 0, 0),
        ("file:///else/x.mp3", MBID, NOON, 20, None, None),
        ("http://radio.example/stream", None, NOON, 0, 2, NOON),
    ]
    if damaged:
        rows += [("", None, NOON, 0, 2, NOON), ("file:///music/a/two.flac", None, 7, 0, 2, 8)]
    with sqlite3.connect(path) as database:
        database.execute(LYRION)
        database.executemany(
            "INSERT INTO tracks_persistent (url, musicbrainz_id, added, rating, playCount,"
            " lastPlayed) VALUES (?,?,?,?,?,?)",
            rows,
        )
    database.close()
    return path


def write_table(path, *, damaged=False):
    """Write a table of counts under the names of a log, with a row that is too short."""
    lines = ["user_id,song_id", "ana,a/one.flac", 'ben,"a, b"', "ben,b/three.mp3"]
    path.write_text("\n".join([*lines, *(["eva"] if damaged else [])]) + "\n")
    return path


WRITERS = {
    "listenbrainz": (write_listenbrainz, "export.zip"),
    "lastfm": (write_lastfm_csv, "scrobbles.csv"),
    "spotify": (write_spotify, "spotify.zip"),
    "yambda": (write_yambda, "listens.parquet"),
    "navidrome": (write_navidrome, "navidrome.db"),
    "lyrion": (write_lyrion, "persist.db"),
    "table": (write_table, "events.csv"),
}
