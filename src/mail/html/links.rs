//! The links of an HTML text: where they lead and what they are called.

use std::fmt::Write as _;

use crate::domain::link::names_another_host;

/// Links that are listed; a newsletter has some fifty.
const LINKS_MAX: usize = 100;
/// The longest address of a link, in bytes; longer ones are tracking, not an address that anyone copies.
const ADDRESS_BYTES_MAX: usize = 2_048;
/// The longest name of a link, in characters.
const NAME_CHARS_MAX: usize = 80;

#[derive(Default)]
pub(super) struct Links {
    listed: Vec<Link>,
    /// The one whose name is being read.
    open: Option<Link>,
    left_out: usize,
}

struct Link {
    address: String,
    name: String,
}

impl Link {
    fn misleads(&self) -> bool {
        names_another_host(&self.name, &self.address)
    }
}

impl Links {
    /// A link to `address` begins.
    pub(super) fn open(&mut self, address: &str) {
        self.close();
        let address = address.trim();
        let leads_somewhere = ["https://", "http://", "mailto:"]
            .iter()
            .any(|scheme| address.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme)));
        let plain = address.chars().all(|c| !c.is_whitespace() && !c.is_control());
        if leads_somewhere && plain && address.len() <= ADDRESS_BYTES_MAX {
            self.open = Some(Link { address: address.to_owned(), name: String::new() });
        }
    }

    /// Text that may belong to a link's name.
    pub(super) fn text(&mut self, text: &str) {
        if let Some(link) = &mut self.open {
            let room = NAME_CHARS_MAX.saturating_sub(link.name.chars().count());
            link.name.extend(text.chars().take(room));
        }
    }

    /// The link ends.
    pub(super) fn close(&mut self) {
        let Some(link) = self.open.take() else { return };
        // One that misleads is told of, though the same address stood under an honest name before.
        let told = |listed: &Link| listed.address == link.address && (listed.name == link.name || !link.misleads());
        if self.listed.iter().any(told) {
            return;
        }
        if self.listed.len() == LINKS_MAX {
            self.left_out += 1;
        } else {
            self.listed.push(link);
        }
    }

    /// The list, one link a line under a heading; empty if there are none.
    pub(super) fn list(mut self) -> String {
        self.close();
        if self.listed.is_empty() {
            return String::new();
        }
        let mut text = String::from("Links:");
        for link in &self.listed {
            let Link { address, name } = link;
            let mark = if link.misleads() { " (names another host)" } else { "" };
            let name = name.split_whitespace().collect::<Vec<_>>().join(" ");
            // Writing to a String cannot fail.
            let _ = if name.is_empty() || name == *address {
                write!(text, "\n- {address}")
            } else {
                write!(text, "\n- {name}: {address}{mark}")
            };
        }
        if self.left_out > 0 {
            let _ = write!(text, "\n({} more links are not listed)", self.left_out);
        }
        text
    }
}
