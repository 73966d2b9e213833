//! The structures of RFC 9420 as [`Shape`]s. What is read here was made honestly.

use maypole_mls::reader::Reader;

use super::shape::{Shape, Signed};

/// `MLSMessage` with a `PublicMessage`, a GroupInfo, a Welcome or a KeyPackage. Leaves in a path are signed for a place.
pub(super) fn message(shape: &mut Shape, reader: &mut Reader<'_>, place: u32) {
    shape.short(reader);
    match shape.short(reader) {
        1 => public_message(shape, reader, place),
        3 => welcome(shape, reader),
        4 => group_info(shape, reader),
        _ => key_package(shape, reader),
    }
}

fn public_message(shape: &mut Shape, reader: &mut Reader<'_>, place: u32) {
    let mut sender = 0;
    let mut is_commit = false;
    shape.signed(reader, Signed::Framed, |shape, reader| {
        shape.opaque(reader);
        shape.bytes(reader, 8);
        shape.parts(reader, |shape, reader| {
            sender = shape.byte(reader);
            if sender < 3 {
                shape.bytes(reader, 4);
            }
        });
        shape.opaque(reader);
        is_commit = shape.byte(reader) == 3;
        if is_commit { commit(shape, reader, place) } else { proposal(shape, reader, place) }
    });
    if is_commit {
        shape.opaque(reader);
    }
    if sender == 1 {
        shape.opaque(reader);
    }
}

fn commit(shape: &mut Shape, reader: &mut Reader<'_>, place: u32) {
    shape.list(reader, |shape, reader| match shape.byte(reader) {
        1 => proposal(shape, reader, place),
        _ => shape.opaque(reader),
    });
    optional(shape, reader, |shape, reader| {
        leaf(shape, reader, place);
        shape.list(reader, |shape, reader| {
            shape.opaque(reader);
            shape.list(reader, |shape, reader| {
                shape.opaque(reader);
                shape.opaque(reader);
            });
        });
    });
}

pub(super) fn proposal(shape: &mut Shape, reader: &mut Reader<'_>, place: u32) {
    shape.parts(reader, |shape, reader| match shape.short(reader) {
        1 => key_package(shape, reader),
        2 => leaf(shape, reader, place),
        3 => drop(shape.bytes(reader, 4)),
        4 => {
            if shape.byte(reader) == 2 {
                shape.byte(reader);
                shape.opaque(reader);
                shape.bytes(reader, 8);
            } else {
                shape.opaque(reader);
            }
            shape.opaque(reader);
        }
        5 => reinit(shape, reader),
        6 => shape.opaque(reader),
        7 => extensions(shape, reader),
        8 => {
            shape.short(reader);
            if shape.byte(reader) == 1 {
                shape.opaque(reader);
            }
        }
        9 => {
            shape.short(reader);
            shape.opaque(reader);
        }
        0xf002 => shape.opaque(reader),
        0xf003 => {
            shape.opaque(reader);
            shape.opaque(reader);
        }
        _ => {}
    });
}

fn reinit(shape: &mut Shape, reader: &mut Reader<'_>) {
    shape.opaque(reader);
    shape.short(reader);
    shape.short(reader);
    extensions(shape, reader);
}

pub(super) fn leaf(shape: &mut Shape, reader: &mut Reader<'_>, place: u32) {
    shape.parts(reader, |shape, reader| {
        shape.signed(reader, Signed::Leaf(place), |shape, reader| {
            shape.opaque(reader);
            shape.opaque(reader);
            shape.parts(reader, |shape, reader| {
                shape.short(reader);
                shape.opaque(reader);
            });
            for _ in 0..5 {
                shape.list(reader, |shape, reader| {
                    shape.short(reader);
                });
            }
            shape.parts(reader, |shape, reader| match shape.byte(reader) {
                1 => {
                    shape.bytes(reader, 8);
                    shape.bytes(reader, 8);
                }
                2 => {}
                _ => shape.opaque(reader),
            });
            extensions(shape, reader);
        });
    });
}

pub(super) fn extensions(shape: &mut Shape, reader: &mut Reader<'_>) {
    shape.list(reader, |shape, reader| {
        shape.short(reader);
        shape.opaque(reader);
    });
}

pub(super) fn key_package(shape: &mut Shape, reader: &mut Reader<'_>) {
    shape.signed(reader, Signed::KeyPackage, |shape, reader| {
        shape.short(reader);
        shape.short(reader);
        shape.opaque(reader);
        leaf(shape, reader, 0);
        extensions(shape, reader);
    });
}

fn context(shape: &mut Shape, reader: &mut Reader<'_>) {
    shape.parts(reader, |shape, reader| {
        shape.short(reader);
        shape.short(reader);
        shape.opaque(reader);
        shape.bytes(reader, 8);
        shape.opaque(reader);
        shape.opaque(reader);
        extensions(shape, reader);
    });
}

pub(super) fn group_info(shape: &mut Shape, reader: &mut Reader<'_>) {
    shape.signed(reader, Signed::GroupInfo, |shape, reader| {
        context(shape, reader);
        extensions(shape, reader);
        shape.opaque(reader);
        shape.bytes(reader, 4);
    });
}

pub(super) fn welcome(shape: &mut Shape, reader: &mut Reader<'_>) {
    shape.short(reader);
    shape.list(reader, |shape, reader| {
        shape.opaque(reader);
        shape.opaque(reader);
        shape.opaque(reader);
    });
    shape.opaque(reader);
}

pub(super) fn tree(shape: &mut Shape, reader: &mut Reader<'_>) {
    let mut node = 0;
    shape.list(reader, |shape, reader| {
        let place = node / 2;
        node += 1;
        optional(shape, reader, |shape, reader| match shape.byte(reader) {
            1 => leaf(shape, reader, place),
            _ => {
                shape.opaque(reader);
                shape.opaque(reader);
                numbers(shape, reader);
            }
        });
    });
}

/// What [`maypole_mls::Group::snapshot`] writes.
pub(super) fn snapshot(shape: &mut Shape, reader: &mut Reader<'_>) {
    shape.short(reader);
    context(shape, reader);
    shape.opaque(reader);
    optional(shape, reader, reinit);
    tree(shape, reader);
    shape.list(reader, Shape::opaque);
}

/// What [`maypole_mls::Delta::to_bytes`] writes.
pub(super) fn delta(shape: &mut Shape, reader: &mut Reader<'_>) {
    let format = shape.short(reader);
    shape.bytes(reader, 8);
    for _ in 0..3 {
        shape.opaque(reader);
    }
    if format < 0x0200 {
        return shape.opaque(reader);
    }
    shape.list(reader, |shape, reader| {
        shape.bytes(reader, 4);
        leaf(shape, reader, 0);
    });
    numbers(shape, reader);
    shape.list(reader, |shape, reader| leaf(shape, reader, 0));
    optional(shape, reader, |shape, reader| {
        optional(shape, reader, |shape, reader| drop(shape.bytes(reader, 4)));
        leaf(shape, reader, 0);
        shape.list(reader, Shape::opaque);
    });
    for _ in 0..3 {
        shape.opaque(reader);
    }
    optional(shape, reader, extensions);
    optional(shape, reader, reinit);
    shape.list(reader, Shape::opaque);
    shape.list(reader, Shape::opaque);
}

fn numbers(shape: &mut Shape, reader: &mut Reader<'_>) {
    shape.list(reader, |shape, reader| {
        shape.bytes(reader, 4);
    });
}

fn optional(shape: &mut Shape, reader: &mut Reader<'_>, inside: impl FnOnce(&mut Shape, &mut Reader<'_>)) {
    shape.parts(reader, |shape, reader| {
        if shape.byte(reader) == 1 {
            inside(shape, reader);
        }
    });
}
