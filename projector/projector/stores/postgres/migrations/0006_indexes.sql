-- Secondary indexes: when a table was analyzed after its replay, and why an index of it could not be made. The latter
-- by the index's name: {"columns": [...], "method": "btree", "message": "...", "at": "..."}.

ALTER TABLE projections.build
    ADD COLUMN analyzed_at timestamptz,
    ADD COLUMN index_failures jsonb NOT NULL DEFAULT '{}';
