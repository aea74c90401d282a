-- Why and when a build was given up, and when its catching up was opened. An operator of an older release leaves them
-- NULL, also where it gives a build up later.

ALTER TABLE projections.build
    ADD COLUMN ending text CHECK (ending IN ('Aborted', 'Rejected', 'Superseded', 'Expired')),
    ADD COLUMN ended_at timestamptz,
    ADD COLUMN replayed_at timestamptz;

-- Until now a build was given up only for another one.
UPDATE projections.build SET ending = 'Superseded', ended_at = changed_at WHERE state IN ('Abandoned', 'Retired');
