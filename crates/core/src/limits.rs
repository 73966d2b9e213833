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
/// Epochs from here on cannot be written in canonical JSON.
pub const EPOCH_END: u64 = 1 << 53;

/// Messages that one account may send at once.
pub const SENDER_BURST_MESSAGES: u64 = 1_000;
/// Messages that one account may send per second in the long run.
pub const SENDER_MESSAGES_PER_SECOND: u64 = 10;
/// How often an account that sends too fast is told so; what it sends in between is not answered.
pub const LIMIT_NOTICE_EVERY: Duration = Duration::from_secs(1);
/// Accounts whose speed is watched at once.
pub const SENDERS_WATCHED: usize = 20_000;

// What is remembered.

/// How long the same message gets the same refusal.
pub const REFUSAL_REMEMBERED: Duration = Duration::from_hours(24);
/// Answers remembered; above that, those that expire next are forgotten.
pub const ANSWERS_REMEMBERED: u64 = 1_000_000;
/// Expired answers forgotten in one write.
pub const ANSWERS_FORGOTTEN_AT_ONCE: usize = 500;
/// How often expired answers are looked for.
pub const FORGET_EVERY: Duration = Duration::from_mins(1);
/// Push transactions whose IDs are remembered.
pub const PUSH_TRANSACTIONS_REMEMBERED: usize = 1_000;
/// Bytes kept of an event that cannot be read.
pub const SET_ASIDE_EVENT_BYTES: usize = 2_048;
/// Rows set aside that are kept for the operator; older ones make room.
pub const SET_ASIDE_ROWS: usize = 10_000;

// What waits.

/// Messages in the inbox above which nothing more is fetched.
pub const INBOX_ROWS: usize = 10_000;
/// Messages taken from the inbox at once.
pub const INBOX_PAGE: usize = 100;
/// How often a message is looked at anew that lost the race for its own answer to a twin.
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
/// Memory that the embedded store may use for its pages.
pub const SLED_CACHE_BYTES: u64 = 64 * 1024 * 1024;
/// The largest file beside the embedded store that is read.
pub const BULK_FILE_BYTES: u64 = 64 * 1024 * 1024;
/// Threads that write files beside the embedded store.
pub const BULK_THREADS: usize = 8;
/// Damaged records that are kept for the operator; older ones make room.
pub const QUARANTINED_ROWS: usize = 10_000;
/// How long a store may wait for its own earlier handle to let go.
pub const STORE_HANDOVER: Duration = Duration::from_secs(5);
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
/// Addresses of one listener.
pub const LISTENER_ADDRESSES: usize = 16;
/// The largest compiled regular expression of a registration.
pub const REGEX_BYTES: usize = 1024 * 1024;
/// The longest file of one key.
pub const KEY_FILE_BYTES: usize = 16 * 1024;
/// The longest backup of all keys.
pub const KEYS_BACKUP_BYTES: usize = 256 * 1024;
