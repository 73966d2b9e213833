//! Tables in Markdown, out of figures.

use crate::{
    figures::{Figures, Of},
    followers::Which,
    goals::stored,
    numbers::{grouped, head, row, short},
    scene::Kind,
};

/// A kind of table, with those who have a column in it.
#[derive(Debug, Clone)]
pub(crate) enum Table {
    Following(Vec<Which>),
    Import(Vec<Which>),
    Memory,
}

impl Table {
    /// The table of all that a topic has figures of and the filter lets pass, by size and kind; those who have no figure in
    /// it have no column.
    pub(crate) fn whole(topic: &str, figures: &Figures, keep: impl Fn(&Of) -> bool) -> String {
        let mut subjects = figures.subjects(topic);
        subjects.retain(|of| keep(of));
        let order = |of: &&Of| (of.members, Kind::ALL.iter().position(|kind| kind.name() == of.commit));
        subjects.sort_by_key(order);
        let present = |what| {
            let has =
                |which: &Which| subjects.iter().any(|of| figures.value(of, which.name(), what).is_some());
            Which::ALL.into_iter().filter(has).collect()
        };
        let table = match topic {
            "following" => Self::Following(present("floors")),
            "import" => Self::Import(present("ms")),
            _ => Self::Memory,
        };
        let rows = subjects.iter().map(|of| table.row(figures, of));
        [table.head()].into_iter().chain(rows).collect::<Vec<_>>().join("\n")
    }

    /// Its head, and the line under it.
    pub(crate) fn head(&self) -> String {
        let mut cells = vec!["members".to_owned()];
        match self {
            Self::Following(with) => {
                cells.extend(["commit", "floor µs"].map(str::to_owned));
                cells.extend(with.iter().map(|which| format!("{} × floor", which.name())));
                let last =
                    ["ours: verdict, effect µs", "commit bytes", "delta bytes", "stored bytes, × goal"];
                cells.extend(last.map(str::to_owned));
            }
            Self::Import(with) => {
                cells.push("signatures alone, all cores, ms".to_owned());
                cells.extend(with.iter().map(|which| format!("{}: ms, × signatures", which.name())));
            }
            Self::Memory => cells.extend(
                [
                    "memory per member, bytes",
                    "snapshot bytes",
                    "per member",
                    "restore ms",
                    "replay µs a delta",
                ]
                .map(str::to_owned),
            ),
        }
        head(&cells)
    }

    /// The row of one size and kind.
    pub(crate) fn row(&self, figures: &Figures, of: &Of) -> String {
        let value = |who: &str, what: &str| figures.value(of, who, what);
        let count = |value: Option<f64>| written(value.map(|value| grouped(value.round() as usize)));
        let measure = |value: Option<f64>| written(value.map(short));
        let pair = |first: Option<f64>, second: Option<f64>| {
            written(first.zip(second).map(|(first, second)| format!("{}, {}", short(first), short(second))))
        };
        let mut cells = vec![grouped(of.members as usize)];
        match self {
            Self::Following(with) => {
                cells.extend([of.commit.clone(), measure(value("floor", "us"))]);
                cells.extend(with.iter().map(|which| measure(value(which.name(), "floors"))));
                cells.push(pair(value("ours", "verdict_us"), value("ours", "effect_us")));
                cells.extend(["commit", "delta"].map(|who| count(value(who, "bytes"))));
                let stored = stored(figures, of);
                cells.push(written(
                    stored.map(|(bytes, share)| format!("{}, {}", grouped(bytes as usize), short(share))),
                ));
            }
            Self::Import(with) => {
                cells.push(measure(value("signatures", "ms")));
                let both = |which: &Which| pair(value(which.name(), "ms"), value(which.name(), "signatures"));
                cells.extend(with.iter().map(both));
            }
            Self::Memory => {
                let a_member = |what| count(value("ours", what).map(|bytes| bytes / f64::from(of.members)));
                cells.extend([
                    a_member("memory_bytes"),
                    count(value("ours", "snapshot_bytes")),
                    a_member("snapshot_bytes"),
                    measure(value("ours", "restore_ms")),
                    measure(value("ours", "replay_us")),
                ]);
            }
        }
        row(cells)
    }
}

/// A cell, which says so where nothing was measured.
fn written(cell: Option<String>) -> String {
    cell.unwrap_or_else(|| "–".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_go_by_size_and_kind_and_say_what_is_missing() {
        let mut figures = Figures::default();
        let lines = "\
            following,warm,64,remove,floor,us,80\nfollowing,warm,64,remove,ours,floors,1.1\n\
            following,warm,8,resync,mls-rs,floors,1.42\nfollowing,warm,64,update,ours,floors,1.2\n\
            following,bare,8,update,openmls,floors,9\nfollowing,warm,64,remove,commit,bytes,2000\n\
            following,warm,64,remove,delta,bytes,600\nfollowing,warm,64,remove,group-info,bytes,400\n";
        figures.take(lines).unwrap();
        let table = Table::whole("following", &figures, |of| of.tree == "warm");
        let expected = "\
            | members | commit | floor µs | ours × floor | mls-rs × floor | ours: verdict, effect µs | commit bytes | delta bytes | stored bytes, × goal |\n\
            | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n\
            | 8 | resync | – | – | 1.42 | – | – | – | – |\n\
            | 64 | update | – | 1.20 | – | – | – | – | – |\n\
            | 64 | remove | 80.0 | 1.10 | – | – | 2,000 | 600 | 3,000, 0.75 |";
        assert_eq!(table, expected);
    }
}
