//! Every bound of the service, in one file. Units stand last in the names.

use std::time::Duration;

// What clients send.

/// The largest to-device content that is read; homeservers refuse larger ones themselves.
pub const TO_DEVICE_CONTENT_BYTES: usize = 65_536;
/// The largest to-device content that the service sends itself.
pub const OUTGOING_CONTENT_BYTES: usize = 60_000;
/// The largest blob that a message may name.
pub const BLOB_BYTES: u64 = 50 * 1024 * 1024;
/// The longest transaction ID that a device may choose.
pub const TXN_ID_BYTES: usize = 255;
/// The longest device ID.
pub const DEVICE_ID_BYTES: usize = 255;
/// The longest MLS group ID.
pub const GROUP_ID_BYTES: usize = 1_024;
/// Numbers from here on cannot be written in canonical JSON.
pub const JSON_NUMBER_END: u64 = 1 << 53;
/// Epochs from here on cannot be written in canonical JSON.
pub const EPOCH_END: u64 = JSON_NUMBER_END;
/// The longest name that a device may give a request.
pub const REQUEST_ID_BYTES: usize = 255;
/// How much of a want that nobody knows is repeated in the answer.
pub const WANT_BYTES: usize = 64;
/// The longest authenticated data of a commit.
pub const AUTHENTICATED_DATA_BYTES: usize = 64 * 1024;
/// Events that one commit may cite.
pub const CITED_EVENTS: usize = 32;
/// Users whose membership one commit may change: for each of them an event is sent.
pub const MEMBER_CHANGES: usize = 500;
/// The longest reason for a kick or ban.
pub const REASON_BYTES: usize = 1_024;

/// Messages that one account may send at once.
pub const SENDER_BURST_MESSAGES: u64 = 1_000;
/// Messages that one account may send per second in the long run.
pub const SENDER_MESSAGES_PER_SECOND: u64 = 10;
/// Trees that one account may ask for at once: one for each group that it was added to while it was away.
pub const SENDER_BURST_TREES: u64 = 40;
/// How often one more after that. Each may have to be brought back from what is stored.
pub const SENDER_TREE_EVERY: Duration = Duration::from_secs(2);
/// How often an account that sends too fast is told so; what it sends in between is not answered.
pub const LIMIT_NOTICE_EVERY: Duration = Duration::from_secs(1);
/// Accounts whose speed is watched at once.
pub const SENDERS_WATCHED: usize = 20_000;
/// How often a full table of allowances is looked through for those who have their whole one.
pub const FULL_TABLE_SWEPT_EVERY: Duration = Duration::from_secs(1);

// What is remembered.

/// How long the same message gets the same refusal.
pub const REFUSAL_REMEMBERED: Duration = Duration::from_hours(24);
/// Answers remembered; above that, refusals are forgotten before their time.
pub const ANSWERS_REMEMBERED: u64 = 1_000_000;
/// Expired answers forgotten in one write.
pub const ANSWERS_FORGOTTEN_AT_ONCE: usize = 500;
/// How often expired answers, and KeyPackages that nobody could use any more, are looked for.
pub const FORGET_EVERY: Duration = Duration::from_mins(1);
/// Push transactions whose IDs are remembered.
pub const PUSH_TRANSACTIONS_REMEMBERED: usize = 1_000;
/// Bytes kept of an event that cannot be read.
pub const SET_ASIDE_EVENT_BYTES: usize = 2_048;
/// Rows set aside that are kept for the operator; older ones make room.
pub const SET_ASIDE_ROWS: usize = 10_000;

// Bytes by way of the media repository.

/// Kibibytes of fetched blobs in memory.
pub const BLOBS_MEMORY_KIB: usize = 256 * 1024;
/// Kibibytes of them that messages of one account may take: more than one message has.
pub const BLOBS_MEMORY_PER_USER_KIB: usize = BLOBS_MEMORY_KIB / 4;
/// Kibibytes of them in the lane of one group: more than one account can fill.
pub const BLOBS_MEMORY_PER_LANE_KIB: usize = BLOBS_MEMORY_KIB / 8 * 3;
/// Blobs of one account that are fetched at once.
pub const BLOB_FETCHES_PER_USER: usize = 2;
/// Uploads whose address is remembered.
pub const BLOBS_REMEMBERED: usize = 1_000;
/// How long the address of an upload is given out again for the same bytes. Whoever asks for them later may not have found them
/// there.
pub const BLOBS_REMEMBERED_FOR: Duration = Duration::from_hours(1);
/// The largest bytes that stand in an event: three fields of this size, in base64, and the rest stay below
/// [`OUTGOING_CONTENT_BYTES`].
pub const INLINE_BYTES: usize = 12 * 1024;
/// Recipients above which less stands in an event.
pub const INLINE_RECIPIENTS: usize = 256;
/// The largest bytes that stand in an event for more recipients.
pub const INLINE_BYTES_FOR_MANY: usize = 2 * 1024;
/// Events that commits cite, kept whole for the next commit.
pub const CITED_EVENTS_REMEMBERED: usize = 256;
/// Replaced state events that are looked at to find one of the service's own.
pub const REPLACED_EVENTS: usize = 16;
/// What stands around the commits in a response or a refusal.
pub const RESPONSE_FRAME_BYTES: usize = 4 * 1024;
/// Commits in one response, if so many fit.
pub const COMMITS_IN_A_PAGE: usize = 64;
/// Commits that a refusal brings along.
pub const STALE_COMMITS: usize = 16;

/// How long a message waits for memory for its blobs before it is told to come again.
pub const BLOB_WAIT: Duration = Duration::from_secs(60);

// Groups.

/// The largest commit. One that gives new keys to a hundred thousand members has some eight million bytes.
pub const COMMIT_BYTES: usize = 24 * 1024 * 1024;
/// The largest Welcome, all its readers together.
pub const WELCOME_BYTES: usize = 24 * 1024 * 1024;
/// The largest GroupInfo, without a tree but for a group that begins; and the largest encrypted one in a Welcome.
pub const GROUP_INFO_BYTES: usize = 128 * 1024;
/// Commands and requests that wait in the lane of one group. Forty full lanes leave the inbox open for other groups.
pub const LANE_ROWS: usize = INBOX_ROWS / 50;
/// Those of one account among them: whoever else has something to say in the group finds a place.
pub const LANE_ROWS_OF_ONE: usize = LANE_ROWS / 4;
/// What a full lane tells to wait.
pub const LANE_RETRY: Duration = Duration::from_secs(5);
/// How often the homeserver is asked for what a decision rests on, before the decision is given up.
pub const READ_TRIES: u32 = 8;
/// How often the homeserver may fail on an event that a commit needs, before the event counts as refused.
pub const EFFECT_TRIES: u32 = 8;
/// Epochs of a log that are looked at for one answer. A device that is further behind joins again.
pub const LOG_WALK_EPOCHS: u64 = 1_024;

/// Epochs that a log keeps, the newest ones, however old they are.
pub const LOG_KEPT_EPOCHS: u64 = 1_000;
/// How long a log keeps an epoch, however many there are.
pub const LOG_KEPT_FOR: Duration = Duration::from_hours(30 * 24);
/// Epochs that leave a log in one write.
pub const LOG_TRIMMED_AT_ONCE: usize = 32;
/// How often logs are looked through for epochs that need not be kept.
pub const LOG_TRIM_EVERY: Duration = Duration::from_hours(1);
/// Groups that are looked through at once for that.
pub const GROUPS_PAGE: usize = 100;

/// Epochs after which a group's tree is written anew, however little they changed: so many are carried out at most to bring a
/// group back.
pub const SNAPSHOT_EVERY_EPOCHS: u64 = 2_048;
/// Deltas, in bytes, below which a group's tree is not written anew before that.
pub const SNAPSHOT_EVERY_BYTES: u64 = 64 * 1024;
/// Groups in which something is staged that are taken up at the start.
pub const STAGED_AT_START: usize = 100_000;
/// The longest reason for freezing a group.
pub const FREEZE_REASON_BYTES: usize = 512;
/// Entries of a group's log that are read at once.
pub const LOG_PAGE: usize = 16;
/// Bytes of entries that are read at once, where that is more than one: a large one is read alone.
pub const LOG_PAGE_BYTES: usize = 4 * 1024 * 1024;
/// What a member takes in memory beside the bytes of its leaf and path.
pub const GROUP_MEMBER_BYTES: usize = 1_024;
/// What a group takes in memory besides its members.
pub const GROUP_BASE_BYTES: usize = 4 * 1024;
/// What anything that is noted of a device, or waits, takes in a group's memory beside its bytes.
pub const GROUP_NOTE_BYTES: usize = 512;
/// How many times the bytes of its snapshot, and of the deltas after it, a group may take in memory.
pub const GROUP_UNPACKED: usize = 8;
/// Kibibytes of groups that are read, or judged, side by side. One that is larger is so alone.
pub const GROUPS_AT_WORK_KIB: u32 = 512 * 1024;
/// Memory for groups that nothing happens in.
pub const GROUPS_CACHE_BYTES: usize = 256 * 1024 * 1024;

// What a group must do next.

/// Leaves that must go from one group and are known to. What is above that is announced again when there is room.
pub const LEAVING: usize = 4_096;
/// Of the leaves that must go, those that one commit must remove, the oldest first; the service proposes no more at once.
pub const MUST_GO_AT_ONCE: usize = 256;
/// How long after its announcement a leaf may still be left alone by a commit, which may have crossed the announcement.
pub const MUST_GO_GRACE: Duration = Duration::from_secs(10);
/// Proposals of the service that one epoch may have, those for leaves that need not go any more included.
pub const SERVICE_PROPOSALS: usize = 512;
/// Proposals that one device may have waiting.
pub const PROPOSALS_OF_ONE: usize = 2;
/// Proposals of members, and of who asks to join, that wait in one group.
pub const PROPOSALS_OF_MEMBERS: usize = 256;
/// The largest proposal that is sent by itself.
pub const PROPOSAL_BYTES: usize = 128 * 1024;
/// Bytes of all proposals of members that wait in one group.
pub const PROPOSALS_OF_MEMBERS_BYTES: usize = 2 * 1024 * 1024;
/// How long to wait where too many proposals wait already; the next commit makes room.
pub const PROPOSAL_RETRY: Duration = Duration::from_secs(30);
/// Bytes of proposals that a refusal says are missing; the rest are told when those are there.
pub const MISSING_PROPOSALS_BYTES: usize = 24 * 1024;
/// How long one device has to make the commit that its group needs, before another is asked.
pub const DUTY_LEASE: Duration = Duration::from_secs(30);
/// Devices that had the duty to commit and are known to; the silent ones beyond have their turn by their order.
pub const DUTY_TRIED: usize = 64;
/// Devices that were heard lately and have the duty to commit before the silent ones. Fewer than are remembered, so that these
/// have it as well.
pub const DUTY_LATELY: usize = DUTY_TRIED / 2;
/// How long after its last message a device is asked for a commit before all others.
pub const HEARD_LATELY: Duration = Duration::from_hours(1);
/// Devices of one group of which it is known when they were last heard.
pub const HEARD_DEVICES: usize = 256;
/// Devices that a group is asked to add and that are not there yet.
pub const WANTED_DEVICES: usize = 256;
/// Commits of a device that may be too late, one after the other, before the next epoch is kept for it.
pub const STALE_IN_A_ROW: u8 = 3;
/// How long an epoch is kept for a device that was too late so often.
pub const RESERVED: Duration = Duration::from_secs(5);
/// How long until an epoch is kept for the same account again.
pub const RESERVED_AGAIN: Duration = Duration::from_mins(1);
/// Devices of one group whose late commits are counted, and accounts whose reservations are known.
pub const RACERS_WATCHED: usize = 1_024;
/// How long a staged commit keeps others waiting, and how often all that wait in a lane look again.
pub const STAGED_FIRST: Duration = Duration::from_secs(5);

// KeyPackages.

/// The largest KeyPackage. One has about 400 bytes; what its client can do may make it longer.
pub const KEY_PACKAGE_BYTES: usize = 16 * 1024;
/// KeyPackages in one upload.
pub const KEY_PACKAGES_AT_ONCE: usize = 100;
/// KeyPackages that one device may have in stock, besides its last resorts.
pub const KEY_PACKAGES_IN_STOCK: usize = 200;
/// The stock below which a device should be asked for more.
pub const KEY_PACKAGES_LOW: u64 = 20;
/// The longest lifetime of a KeyPackage, from its first second to its last: what a commit may bring as well.
pub const KEY_PACKAGE_LIFETIME: Duration = Duration::from_hours(400 * 24);
/// How far the clock of a KeyPackage's maker may be off.
pub const KEY_PACKAGE_LEEWAY: Duration = Duration::from_hours(1);
/// How long after its end a KeyPackage is still known: longer than a clock that goes wrong is believed to be off.
pub const KEY_PACKAGE_KNOWN_AFTER: Duration = Duration::from_hours(7 * 24);
/// What a dialect may note of a KeyPackage.
pub const KEY_PACKAGE_NOTES_BYTES: usize = 2 * 1024;
/// KeyPackages that are looked at first for one to hand out.
pub const SHELF_PAGE: usize = 8;
/// KeyPackages that leave the stock, or memory, in one write.
pub const KEY_PACKAGES_SWEPT_AT_ONCE: usize = 40;
/// How often an upload is tried again while others change the same stock.
pub const UPLOAD_TRIES: usize = 8;
/// Devices of which one claim may want KeyPackages.
pub const CLAIM_CLIENTS: usize = 1_000;
/// Devices whose KeyPackages are handed out in one write.
pub const CLAIMS_AT_ONCE: usize = 50;
/// How often a claim may come too late for a KeyPackage of one device, before it gets the last resort. Who loses looks at
/// twice as many as before, so that a few tries scatter any crowd over a whole stock.
pub const CLAIM_TRIES: u32 = 16;
/// Suites that one claim may accept.
pub const CLAIM_SUITES: usize = 64;
/// Types that one claim may require.
pub const CLAIM_TYPES: usize = 256;
/// KeyPackages that one claimer may take at once.
pub const CLAIMER_BURST: u64 = 2_000;
/// How often a claimer may take another one after that.
pub const CLAIMER_EVERY: Duration = Duration::from_secs(1);
/// KeyPackages of one device that one claimer may take at once.
pub const CLAIMER_BURST_OF_TARGET: u64 = 10;
/// How often a claimer may take another one of the same device after that.
pub const CLAIMER_EVERY_OF_TARGET: Duration = Duration::from_mins(10);
/// Claimers whose speed is watched at once.
pub const CLAIMERS_WATCHED: usize = 20_000;
/// Claimers and devices whose speed is watched at once.
pub const CLAIMERS_OF_TARGETS_WATCHED: usize = 200_000;

// What waits.

/// Messages in the inbox above which nothing more is fetched.
pub const INBOX_ROWS: usize = 10_000;
/// Messages taken from the inbox at once.
pub const INBOX_PAGE: usize = 100;
/// How often a message is looked at anew that lost the race for its own answer to a twin, and a group that moves on while
/// it is read.
pub const ANSWER_TRIES: usize = 8;
/// Messages owed above which the inbox is left alone.
pub const OWED_ROWS: usize = 20_000;
/// Requests that follow from invitations and are under way at once.
pub const INVITES_AT_ONCE: usize = 4;
/// How often a step that follows from an invitation is tried before the invitation is set aside.
pub const INVITE_TRIES: u32 = 12;
/// Characters kept of a text that an invitation brings, where it is repeated in a reason or a log.
pub const FOREIGN_TEXT_CHARS: usize = 120;
/// Owed messages in memory.
pub const OUTBOX_PAGE: usize = 1_000;
/// How often the homeserver may fail on one message while it takes as many others, before that message is set aside.
pub const OUTBOX_TRIES: u64 = 20;
/// Deliveries under way at once.
pub const OUTBOX_LANES: usize = 8;
/// Bytes of one to-device request, all recipients together.
pub const TO_DEVICE_REQUEST_BYTES: usize = 512 * 1024;
/// Bytes that a recipient's address takes in such a request, at most.
pub const TO_DEVICE_ADDRESS_BYTES: usize = 1_024;
/// Writes that may wait for the store's one writer.
pub const STORE_QUEUE: usize = 1_024;
/// Batches that share one sync of the disk.
pub const STORE_GROUP: usize = 256;
/// Values of the embedded store; larger ones become bulk files (see docs/adr/0003).
pub const SLED_VALUE_BYTES: usize = 4_096;
/// Segments of the embedded store's log. A power of two; all that is not synced yet must fit into one of them.
pub const SLED_SEGMENT_BYTES: usize = 8 * 1024 * 1024;
/// Growth of the embedded store's log after which it is synced, even within a group of batches.
pub const SLED_UNSYNCED_BYTES: u64 = 2 * 1024 * 1024;
/// Keys that the embedded store writes at once; larger batches go through a journal.
pub const SLED_BATCH_WRITES: usize = 128;
/// Groups whose epochs, and whose agendas' revisions, the embedded store knows without reading them.
pub const SLED_NUMBERS_KEPT: usize = 20_000;
/// Memory that the embedded store may use for its pages.
pub const SLED_CACHE_BYTES: u64 = 64 * 1024 * 1024;
/// Bytes of the embedded store's log that are read at once to seal it.
pub const SEAL_READ_BYTES: usize = 1024 * 1024;
/// The largest file beside the embedded store that is read.
pub const BULK_FILE_BYTES: u64 = 64 * 1024 * 1024;
/// Threads that write files beside the embedded store.
pub const BULK_THREADS: usize = 8;
/// The oldest PostgreSQL, by the number before the dot: the first that reads one page of a table without reading all.
pub const POSTGRES_OLDEST: i32 = 14;
/// Sessions of one process with a PostgreSQL that are open at once for its work.
pub const POSTGRES_CONNECTIONS: u32 = 16;
/// Sessions besides, in which it says that it is alive, however many wait for one of those.
pub const POSTGRES_LEASE_CONNECTIONS: u32 = 2;
/// How long a session with it may take to open, or to become free.
pub const POSTGRES_CONNECT: Duration = Duration::from_secs(10);
/// How long one statement of it may take.
pub const POSTGRES_STATEMENT: Duration = Duration::from_secs(30);
/// How long a statement may wait for a row that another transaction holds.
pub const POSTGRES_LOCK: Duration = Duration::from_secs(10);
/// How long a session may leave a transaction open in which it says nothing: shorter than a lease, so that a process that
/// hangs in the middle of one holds up the others no longer.
pub const POSTGRES_IDLE: Duration = Duration::from_secs(4);
/// How long anything that is asked of it may take, its answer included.
pub const POSTGRES_PATIENCE: Duration = Duration::from_secs(40);
/// How often a transaction is tried that others were in the way of.
pub const POSTGRES_TRIES: usize = 16;
/// The pause before the second try, and twice as long before each that follows.
pub const POSTGRES_TRY_FIRST: Duration = Duration::from_millis(1);
/// The longest of these pauses.
pub const POSTGRES_TRY_LAST: Duration = Duration::from_millis(100);
/// Rows of a table without a bound of its own that are counted whenever somebody asks how many there are.
pub const POSTGRES_COUNTED_ROWS: usize = 10_000;
/// How often a table with more is counted whole.
pub const POSTGRES_COUNT_EVERY: Duration = Duration::from_mins(1);
/// Shares of the work of one store. Never changed: what is stored says to which one it belongs.
pub const SHARES: u8 = 64;
/// How long a process that shares a store counts as alive after it last said so.
pub const LEASE_TERM: Duration = Duration::from_secs(10);
/// How often it says so.
pub const LEASE_EVERY: Duration = Duration::from_secs(2);
/// How long nobody else works on a store of which one group is being mended, should whoever does it die.
pub const MEND_TERM: Duration = Duration::from_mins(10);
/// How often it looks for what another process has left to it.
pub const SHARED_LOOK: Duration = Duration::from_millis(200);
/// How often a database that does not answer is looked for.
pub const POSTGRES_LOOK: Duration = Duration::from_secs(1);
/// Damaged records that are kept for the operator; older ones make room.
pub const QUARANTINED_ROWS: usize = 10_000;
/// How long a store may wait for its own earlier handle to let go: as long as a disk that is very busy may take for a sync.
pub const STORE_HANDOVER: Duration = Duration::from_secs(30);
/// The first wait before a store that failed is opened again.
pub const STORE_REOPEN_FIRST: Duration = Duration::from_millis(50);
/// The longest wait before a store that failed is opened again.
pub const STORE_REOPEN_LAST: Duration = Duration::from_secs(10);

// The homeserver.

/// How long `/sync` may wait for something to happen.
pub const SYNC_WAIT: Duration = Duration::from_secs(30);
/// How long past that an answer may take.
pub const SYNC_GRACE: Duration = Duration::from_secs(30);
/// How soon `/sync` may be asked again when it brought nothing.
pub const SYNC_PACE: Duration = Duration::from_millis(100);
/// How long any other request may take.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a connection may take to open.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// The largest answer that is read from the homeserver.
pub const RESPONSE_BYTES: usize = 64 * 1024 * 1024;
/// How much of an answer that reports an error is read.
pub const RESPONSE_ERROR_BYTES: usize = 8 * 1024;
/// How much of the homeserver's own words goes into an error or a log.
pub const ERROR_TEXT_BYTES: usize = 300;
/// Idle connections to the homeserver that are kept for the next request.
pub const HOMESERVER_IDLE_CONNECTIONS: usize = 16;
/// How long an idle connection to the homeserver is kept.
pub const HOMESERVER_IDLE_TIMEOUT: Duration = Duration::from_secs(60);
/// The longest access token.
pub const ACCESS_TOKEN_BYTES: usize = 4_096;
/// The longest event type.
pub const EVENT_TYPE_BYTES: usize = 255;
/// To-device content as the homeserver spells it: escaped, a byte of canonical JSON may take six.
pub const TO_DEVICE_SPELLED_BYTES: usize = 6 * TO_DEVICE_CONTENT_BYTES;
/// The stripped state of one invite.
pub const INVITE_STATE_BYTES: usize = 1024 * 1024;
/// How much of an event that cannot be read is kept for the operator.
pub const POISONED_BYTES: usize = 4 * 1024;
/// Versions, and features, that a homeserver may list.
pub const HOMESERVER_VERSIONS: usize = 1_000;
/// Devices of the service's user that are deleted in one request.
pub const DEVICES_DELETED_AT_ONCE: usize = 100;
/// Users whose devices' keys are asked for in one request.
pub const KEY_QUERY_USERS: usize = 250;
/// How long the homeserver may wait for other servers when it is asked for keys.
pub const KEY_QUERY_WAIT_MS: u64 = 10_000;
/// Devices that one user may have; a longer list is not read.
pub const DEVICES_PER_USER: usize = 1_000;
/// The longest address in the media repository.
pub const MXC_BYTES: usize = 512;
/// The first wait after a failed request.
pub const BACKOFF_FIRST: Duration = Duration::from_millis(250);
/// The longest wait after a failed request, whatever the homeserver asks for.
pub const BACKOFF_LAST: Duration = Duration::from_secs(30);

// The listeners.

/// Connections open at once, per listener.
pub const HTTP_CONNECTIONS: usize = 512;
/// How long a client may take to send its request head.
pub const HTTP_HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a client may take to send its request body.
pub const HTTP_BODY_TIMEOUT: Duration = Duration::from_secs(30);
/// The largest request body. Synapse puts a hundred events of 64 KiB, each with the content that it replaces, and a hundred
/// to-device messages into one push transaction, and tries one that is refused again for ever.
pub const HTTP_BODY_BYTES: usize = 32 * 1024 * 1024;
/// Request bodies held in memory at once; more wait their turn.
pub const HTTP_BODIES: usize = 4;
/// The largest request head.
pub const HTTP_HEAD_BYTES: usize = 32 * 1024;
/// How long a client may leave an answer lying before it is cut off.
pub const HTTP_STALL: Duration = Duration::from_secs(10);
/// How long a closed connection is still read from, so that its last answer is not lost to a reset.
pub const HTTP_LINGER: Duration = Duration::from_secs(1);
/// How long nothing is accepted after the system refused to (too many open files).
pub const HTTP_ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Connections that wait in the system's queue to be accepted.
pub const HTTP_BACKLOG: u32 = 1_024;
/// How often measured durations are sorted into their buckets, so that they do not pile up when nobody asks for them.
pub const METRICS_UPKEEP: Duration = Duration::from_secs(5);
/// How long requests in flight may take when a listener stops.
pub const DRAIN: Duration = Duration::from_secs(20);
/// How long the whole service may take to stop in order.
pub const DRAIN_WHOLE: Duration = Duration::from_secs(30);

// Copies of a store.

/// Records of a store that are told at once, if they are small.
pub const COPY_PAGE: usize = 200;
/// Bytes of records after which no more are told at once.
pub const COPY_PAGE_BYTES: usize = 1024 * 1024;
/// The longest frame of a copy: the largest record, and those that were told with it.
pub const COPY_FRAME_BYTES: u32 = 80 * 1024 * 1024;
/// Bytes of what was overwritten or removed while the embedded store is copied that are kept for the copy.
pub const COPY_KEPT_BYTES: usize = 64 * 1024 * 1024;
/// About what a record that is kept so takes beside its bytes.
pub const COPY_KEPT_ENTRY_BYTES: usize = 100;
/// Bytes of the files beside it that are kept for the copy.
pub const COPY_KEPT_FILE_BYTES: u64 = 1024 * 1024 * 1024;
/// Messages of the inbox that are looked at at once where a store has gone back.
pub const RECOVERED_AT_ONCE: usize = 100;
/// How long a database waits for the next question of a copy, within a transaction that only reads.
pub const COPY_IDLE: Duration = Duration::from_secs(60);
/// Operations of a copy that are carried out in one write.
pub const RESTORED_AT_ONCE: usize = 40;
/// How often the progress of the store is noted with the homeserver, if there is any.
pub const MARK_EVERY: Duration = Duration::from_secs(30);
/// Numbers that are left out after a store was replaced by an older copy of itself: more than may have been given out between
/// the last time that its progress was noted elsewhere and its end.
pub const NUMBERS_SKIPPED: u64 = 1 << 32;

// The operator's socket.

/// Connections to the operator's socket that are open at once.
pub const ADMIN_CONNECTIONS: usize = 8;
/// Connections that wait in the system's queue to be accepted there.
pub const ADMIN_BACKLOG: u32 = 16;
/// The longest request there.
pub const ADMIN_REQUEST_BYTES: usize = 4 * 1024;
/// The longest answer there.
pub const ADMIN_ANSWER_BYTES: usize = 8 * 1024 * 1024;
/// How long a request there may take to arrive, and an answer to be taken.
pub const ADMIN_STALL: Duration = Duration::from_secs(5);
/// How long the service may take to find an answer.
pub const ADMIN_THOUGHT: Duration = Duration::from_secs(10);
/// How long a command waits for the whole answer.
pub const ADMIN_PATIENCE: Duration = Duration::from_secs(30);
/// Members of a group that are listed to the operator.
pub const EXPLAINED_MEMBERS: usize = 1_000;
/// Effects of a staged commit that are listed to the operator.
pub const EXPLAINED_EFFECTS: usize = 1_000;
/// Leaves that must go, proposals that wait and devices to be added that are listed to the operator, of each.
pub const EXPLAINED_OWED: usize = 1_000;
/// Frozen groups that are listed to the operator in one answer; the causes of one group are told together.
pub const FROZEN_LISTED: usize = 1_000;

/// Epochs of a log in one answer to the operator, if so many fit.
pub const ADMIN_LOG_EPOCHS: usize = 128;
/// Bytes of a log in one answer to the operator; a single epoch may have more.
pub const ADMIN_LOG_BYTES: usize = 2 * 1024 * 1024;
/// How long groups are looked at for one answer to the operator; one of them may take longer.
pub const INSPECTION: Duration = Duration::from_secs(2);
/// Problems that are told to the operator in one answer.
pub const PROBLEMS_TOLD: usize = 100;
/// Devices that came, or went, with one epoch, that are listed to the operator.
pub const LOGGED_CLIENTS: usize = 1_000;
/// The longest line of a file with a log: a receipt, and the largest commit in base64.
pub const LOG_LINE_BYTES: usize = 40 * 1024 * 1024;
/// Lines of a file with a log.
pub const LOG_LINES: usize = 2_000_000;

// What the operator writes.

/// The longest configuration or registration file.
pub const CONFIG_FILE_BYTES: usize = 256 * 1024;
/// How deeply a configuration file may nest.
pub const YAML_DEPTH: usize = 32;
/// Values in a configuration file.
pub const YAML_NODES: usize = 10_000;
/// The shortest token; some homeservers refuse shorter ones.
pub const TOKEN_MIN_BYTES: usize = 32;
/// The longest token.
pub const TOKEN_BYTES: usize = 1_024;
/// The longest address of a database.
pub const DATABASE_ADDRESS_BYTES: usize = 4_096;
/// Addresses of one listener.
pub const LISTENER_ADDRESSES: usize = 16;
/// The largest compiled regular expression of a registration.
pub const REGEX_BYTES: usize = 1024 * 1024;
/// The longest file of one key.
pub const KEY_FILE_BYTES: usize = 16 * 1024;
/// The longest backup of all keys.
pub const KEYS_BACKUP_BYTES: usize = 256 * 1024;

// A client's device.

/// Epochs back of which a device can still read messages.
pub const CLIENT_PAST_EPOCHS: usize = 10;
/// Messages of one sender that may still arrive after a later one of the same epoch.
pub const CLIENT_MESSAGES_OUT_OF_ORDER: u32 = 100;
/// Messages of one sender that may be missing before one that is read.
pub const CLIENT_MESSAGES_AHEAD: u32 = 1_000;
/// Commits that a device keeps for later, because those before them have not come.
pub const CLIENT_COMMITS_AHEAD: usize = 64;
/// Room events that a device keeps for later, because their epoch has not begun for it.
pub const CLIENT_EVENTS_AHEAD: usize = 1_000;
/// Welcomes of one sender that wait until the device knows who the delivery service of their rooms is.
pub const CLIENT_WELCOMES_OF_SENDER: usize = 100;
/// Welcomes of all senders that wait so.
pub const CLIENT_WELCOMES_WAITING: usize = 400;
/// How often a device makes a commit again that came too late.
pub const CLIENT_TRIES: u32 = 16;
/// Bytes of a text that a device sends; encrypted and in base64 it fits an event.
pub const CLIENT_TEXT_BYTES: usize = 40_000;
/// KeyPackages that a device makes at once.
pub const CLIENT_KEY_PACKAGES_AT_ONCE: usize = 100;
/// The largest file of a client's state.
pub const CLIENT_STATE_BYTES: u64 = 256 * 1024 * 1024;
/// How long a client's `/sync` waits for something to happen.
pub const CLIENT_SYNC_WAIT: Duration = Duration::from_secs(5);
/// How long a client waits for a delivery service's answer before it sends the same again.
pub const CLIENT_ANSWER_WAIT: Duration = Duration::from_secs(30);
/// Events that were told and that the caller has not taken.
pub const CLIENT_EVENTS_KEPT: usize = 4_096;
/// How long a client waits for what it checks others by: their published keys, and events that a commit cites.
pub const CLIENT_CHECK_WAIT: Duration = Duration::from_secs(10);
/// Events of a room that one `/sync` of a client brings.
pub const CLIENT_TIMELINE_EVENTS: usize = 100;
