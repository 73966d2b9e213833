-- The trees of each group: one of each epoch in which it was written anew, as long as the log keeps what comes after it.
ALTER TABLE snapshots DROP CONSTRAINT snapshots_pkey, ADD PRIMARY KEY (group_id, epoch);
