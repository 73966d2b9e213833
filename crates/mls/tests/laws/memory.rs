//! What is allocated, counted.

use peak_alloc::PeakAlloc;

#[global_allocator]
static COUNTED: PeakAlloc = PeakAlloc;

/// So many bytes may be taken whatever comes in: a verdict touches a path of the group, and the group is small.
const ALWAYS_BYTES: usize = 128 << 10;
/// So many for each byte that comes in. The most is taken by a tree of blank nodes: one byte each, and for each, in a tree
/// that is kept at twice its leaves, a place, a hash and a size.
const FOR_EACH_BYTE: usize = 640;

/// Does something with an input of so many bytes, and holds what is allocated meanwhile against the bound. Nothing else may
/// run in the process.
pub(super) fn bounded<T>(what: &str, input: usize, work: impl FnOnce() -> T) -> T {
    COUNTED.reset_peak_usage();
    let before = COUNTED.current_usage();
    let done = work();
    let taken = COUNTED.peak_usage().saturating_sub(before);
    let bound = ALWAYS_BYTES + FOR_EACH_BYTE * input;
    assert!(
        taken <= bound,
        "{what}: {input} bytes made {taken} bytes be allocated, and {bound} are the most"
    );
    done
}
