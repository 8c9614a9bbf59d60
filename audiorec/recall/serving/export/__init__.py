"""Export a nightly run for rankers and warehouses: open tables and samples.

::

    log, candidates, exposures, models ──sources──▶ `OpenSources`
    tables in parallel, some users at a time ──streams──▶ blocks of rows
    block ──pairs, features──▶ candidates with features     ──samples──▶ labelled samples
          ──users────────▶ users                        catalogue ──▶ songs
    all tables ──folder──▶ TABLE/part-00000.parquet, manifest.json
"""
