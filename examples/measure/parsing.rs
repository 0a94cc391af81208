//! Reading mail: bounces and complaints, and whole messages, beside mail-parser alone on the same bytes.

use std::{
    fs,
    hint::black_box,
    path::{Path, PathBuf},
    time::Instant,
};

use clap::Args;
use mail_parser::MessageParser;
use mailbell::mail::{mime, reports};

use crate::{
    Failure, How,
    load::count,
    rounds::{Samples, in_turn},
    table::{Table, short},
};

/// Reading mail beside mail-parser alone.
#[derive(Args)]
pub(crate) struct Parsing {
    /// The folder of the corpora, each with its raw messages under `raw`
    #[arg(long, env = "MAILBELL_CORPORA")]
    corpora: PathBuf,
}

/// A way to read; it answers with a number, so that nobody leaves it out.
type Reader = fn(&[u8]) -> usize;

const READERS: [(&str, Reader); 4] = [
    ("mail-parser alone", |raw| MessageParser::default().parse(raw).map_or(0, |message| message.parts.len())),
    ("mime::read", |raw| mime::read(raw).text.len()),
    ("reports::read", |raw| usize::from(reports::read(raw).is_some())),
    ("both, as for mail that comes in", |raw| usize::from(reports::read(raw).is_some()) + mime::read(raw).text.len()),
];

impl Parsing {
    pub(crate) async fn run(self, how: &How) -> Result<(), Failure> {
        for corpus in ["bounces-dev", "arf-dev"] {
            let folder = self.corpora.join(corpus).join("raw");
            let mails = mails(&folder)?;
            let bytes: usize = mails.iter().map(Vec::len).sum();
            let mut readers = READERS;
            let turn = how.turn(2.0);
            let found = in_turn(how.rounds, &mut readers, async |(_, reader), _| {
                // The rules are compiled when they are first needed, which is not what is measured.
                for mail in &mails {
                    black_box(reader(mail));
                }
                let (began, mut read) = (Instant::now(), 0u64);
                while began.elapsed() < turn {
                    for mail in &mails {
                        black_box(reader(black_box(mail)));
                    }
                    read += mails.len() as u64;
                }
                Ok::<_, Failure>(count(read) / began.elapsed().as_secs_f64())
            })
            .await?;
            let found: Vec<Samples> = found.into_iter().map(Samples::from_iter).collect();
            let per_mail = count(bytes as u64) / count(mails.len() as u64);
            let title = format!("{corpus}: {} mails of {} bytes on average, one thread", mails.len(), short(per_mail));
            let mut table = Table::new(&title, &["reader", "mails/s", "MB/s", "beside mail-parser"]);
            for ((name, _), samples) in READERS.iter().zip(&found) {
                let megabytes = short(samples.median() * per_mail / 1e6);
                table.row([(*name).to_owned(), samples.show(short), megabytes, samples.over(&found[0]).show(short)]);
            }
            table.print(how)?;
        }
        Ok(())
    }
}

fn mails(folder: &Path) -> Result<Vec<Vec<u8>>, Failure> {
    let files = fs::read_dir(folder).map_err(|error| format!("no corpus at {}: {error}", folder.display()))?;
    let mails: Vec<_> = files.map(|file| fs::read(file?.path())).collect::<Result<_, _>>()?;
    if mails.is_empty() { Err(format!("{} is empty", folder.display()).into()) } else { Ok(mails) }
}
