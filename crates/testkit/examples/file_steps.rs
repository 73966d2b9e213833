//! Does to files what it is told, one step an argument, for the tests of the disk recorder.
//!
//! `file_steps FOLDER STEP…`, where a step is words with `:` between them, and paths are relative to the folder:
//! `create:a`, `write:a:OFFSET:TEXT`, `append:a:TEXT`, `gather:a:TEXT:TEXT`, `truncate:a:LEN`, `fsync:a`, `fdatasync:a`,
//! `rename:a:b`, `link:a:b`, `remove:a`, `mkdir:d`, `rmdir:d`, `ack:N`, `threads:COUNT`, `child:STEP` (one step, with `,` between
//! its words), `symlink:a:b`, `copy:a:b`, `forever`.

use std::fs::{self, File, OpenOptions};
use std::io::{IoSlice, Write};
use std::os::unix::fs::{FileExt, symlink};
use std::path::Path;
use std::process::Command;
use std::thread;

use anyhow::{Context, Result, bail};

fn main() -> Result<()> {
    let mut words = std::env::args().skip(1);
    let folder = words.next().context("no folder")?;
    words.try_for_each(|step| run(Path::new(&folder), &step).with_context(|| step.clone()))
}

fn run(folder: &Path, step: &str) -> Result<()> {
    let words: Vec<_> = step.split(':').collect();
    let at = |name: &str| folder.join(name);
    match words.as_slice() {
        ["create", name] => drop(File::create(at(name))?),
        ["write", name, offset, text] => {
            existing(&at(name))?.write_all_at(text.as_bytes(), offset.parse()?)?
        }
        ["append", name, text] => {
            OpenOptions::new().append(true).create(true).open(at(name))?.write_all(text.as_bytes())?;
        }
        ["gather", name, one, two] => {
            let pieces = [IoSlice::new(one.as_bytes()), IoSlice::new(two.as_bytes())];
            let written = existing(&at(name))?.write_vectored(&pieces)?;
            println!("wrote {written} bytes");
        }
        ["truncate", name, len] => existing(&at(name))?.set_len(len.parse()?)?,
        ["fsync", name] => File::open(at(name))?.sync_all()?,
        ["fdatasync", name] => File::open(at(name))?.sync_data()?,
        ["rename", from, to] => fs::rename(at(from), at(to))?,
        ["link", from, to] => fs::hard_link(at(from), at(to))?,
        ["remove", name] => fs::remove_file(at(name))?,
        ["mkdir", name] => fs::create_dir(at(name))?,
        ["rmdir", name] => fs::remove_dir(at(name))?,
        ["ack", number] => println!("ack {number}"),
        ["threads", count] => threads(folder, count.parse()?)?,
        ["child", step] => {
            let status =
                Command::new(std::env::current_exe()?).arg(folder).arg(step.replace(',', ":")).status()?;
            anyhow::ensure!(status.success(), "{status}");
        }
        ["symlink", from, to] => symlink(from, at(to))?,
        ["copy", from, to] => drop(fs::copy(at(from), at(to))?),
        ["forever"] => loop {
            thread::park();
        },
        _ => bail!("not a step"),
    }
    Ok(())
}

fn existing(path: &Path) -> Result<File> {
    Ok(OpenOptions::new().write(true).open(path)?)
}

/// Each thread appends its own letter to one file, eight times, and makes a file of its own.
fn threads(folder: &Path, count: u8) -> Result<()> {
    thread::scope(|scope| {
        let writers: Vec<_> = (b'a'..)
            .take(count.into())
            .map(|letter| {
                scope.spawn(move || {
                    let mut shared =
                        OpenOptions::new().append(true).create(true).open(folder.join("shared"))?;
                    for _ in 0..8 {
                        shared.write_all(&[letter; 8])?;
                    }
                    File::create(folder.join(char::from(letter).to_string()))?.write_all(&[letter])
                })
            })
            .collect();
        writers.into_iter().try_for_each(|writer| match writer.join() {
            Ok(done) => done.map_err(Into::into),
            Err(_) => bail!("a thread panicked"),
        })
    })
}
