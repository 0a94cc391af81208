//! # The floor plan
//!
//! mailbell tells an LLM agent what happened to its email the moment it happens, even if the agent was not looking or crashed
//! halfway. No event is lost, and no two agents handle one twice.
//!
//! ## Who is in the house
//!
//! - An **agent** speaks MCP: over stdio with a `mailbell mcp` process of its own, or by Streamable HTTP with `serve`.
//! - A **source** posts signed webhooks to the receiver, at `/hooks/{source}`; or it is a mailbox elsewhere, which we read.
//! - An **operator** has a terminal and the console, and the token that no agent has.
//! - The **keeper** is the process that holds the kernel's lock on the data directory. It binds the listeners and opens
//!   `mail.db`. Any number of other processes share `bell.db` beside it, and one of them takes over when it goes.
//!
//! ## Two wings that meet only on the wire
//!
//! ```text
//!            agents: Claude, IDEs, frameworks                      people
//!                │ MCP: stdio, Streamable HTTP                        │ browser, terminal
//!   ┌────────────┴──────────────────── cli · app ─────────────────────┴────────────┐
//!   │  BELL WING: the agent's side     bell.db   MAIL WING: a mail service  mail.db │
//!   │  mcp      tools, resources, prompts        http::v1   the API at /v1          │
//!   │  bell     sources → intake → log           mail       SMTP, LMTP in, mailroom │
//!   │           waiting · consumers                         webhooks out: in order, │
//!   │           upstream ────────────▶ /v1                  signed, retried         │
//!   │                     ▲                                                         │
//!   │                     └──── POST /hooks/{source} ◀───── over real HTTP ─────────│
//!   └──────────────────────────────────────────────────────────────────────────────┘
//! ```
//!
//! [`bell`] and [`mail`] never import each other and never open each other's database. The embedded service posts to our
//! receiver like any stranger, and agents read mail through the API like any client; so an embedded service and a hosted one
//! (`mail.base_url`) take one path.
//!
//! ## Who keeps the house
//!
//! Each `mailbell mcp` is an heir ([`app::succession`]): when the keeper's lock comes free it begins a term of its own
//! ([`app::keeper`]) at the addresses that were published, with the settings that were published beside them, while its
//! agent's waits go on. A keeping `mcp` gives way to a `serve`. A term has an epoch ([`store::term`]), which the writer of
//! `mail.db` checks inside each transaction, and each worker before it sends what was not committed just now. A keeper that is
//! stopped keeps its lock: it is reported ([`app::local_socket`]) and never doubled. Between processes the bell rings through
//! that same socket, and under it is a look for others' commits every 50 ms (`store::bell::watch`). A key goes to a published
//! address only after whoever listens there has proved to be the keeper ([`signing::proof`]).
//!
//! ## Floors
//!
//! A file imports from floors below its own, and from its own room; never from above, never from a sibling. A test holds
//! this (`tests/floor_plan.rs`), and holds each outside crate to its home.
//!
//! ```text
//!  cli                              the command line, the demo
//!  app  telemetry                   where concrete parts meet: a whole house, or a process beside one
//!  http                             axum lives and ends here: hooks, v1, console, health, the mount of /mcp
//!  mcp                              rmcp lives and ends here; a tool is an argument, one call below, a presentation
//!  bell             mail            the two wings' use cases. No axum, no rmcp, no SQL
//!  bell::sources    mail::reports   dialects of webhooks and of reports: bytes in, domain words out. No I/O
//!  store                            traits in domain verbs; sqlx lives and ends in store::{bell, mail}
//!  signing  wake  config  ids       HMAC both ways; a hint that the log moved; settings; ids and chance
//!  reach  tls                       which addresses a connection to a stranger's host may go to; verified TLS
//!  measures                         what is counted, and how the house stands, for Prometheus
//!  domain                           words and rules
//! ```
//!
//! ## Who may, who did, and for how long
//!
//! Who speaks MCP over HTTP is a [`mcp::Principal`]: the bearer of a token ([`app`]'s roll lets in, and ends what a revoked token
//! has in progress). Each call passes one gate (`mcp::tools::gate`) before its tool acts: limits, read or act, its mailboxes,
//! whose lease it is. What it may not see is answered as if it were not there, and what is in no toolset of this server is
//! refused there. Around it, `mcp::tools::record` writes to the audit record ([`store::audit`]): an intent before an effect
//! outside, a result after, in commits that calls share; `http::v1`'s gate does the same for requests that change something. What
//! every call looks up (its token, the modes, the log's extent) is looked up once for all who ask at the same time, after they
//! asked, and kept for nobody (`store::together`). What lies in `bell.db` tells of
//! itself in its own transaction: events, leases and how long they run, and each step of what waits for an operator.
//! `examples/audit_check` checks an export and shares no code with all this. The chain's key lies in a file outside.
//! [`bell::retention`] and [`mail::retention`] forget in small transactions, in the keeper, every minute and every hour.
//!
//! ## One event's journey
//!
//! A mail comes in by SMTP or LMTP. [`mail::reception`] reads the MIME, and in one transaction, whose commit many share, stores the
//! message with its raw bytes ([`mail::blobs`]; large ones are in a file first), finds its thread and owes an `inbound` event to
//! every webhook that wants it. What comes at the same time is stored by the same statements (`store::joint`), along with which
//! their transaction begins and ends (`store::turn`), and while they are flushed the next commit is made (`store::flushes`). Only
//! after that does the peer read `250`.
//!
//! [`mail::webhooks`] claims the line (one endpoint, one mailbox), signs the stored bytes and posts them, for 24 hours of
//! running time before they become a dead letter. What our own receiver is owed of a line goes together, as an array, with what 20 ms
//! bring in a stream; others get what follows the head while what they got before is being written down, as long as nothing has
//! changed.
//! [`http::hooks`] takes raw bytes; the source's dialect in [`bell::sources`] checks the signature before anything parses the
//! body (`Verified` is a type that only dialects can make), then turns it into domain words. [`bell::intake`] appends them to the
//! log: posters that arrive together share a statement or two and one commit. After the commit, and never before, the answer is
//! 2xx and [`wake::Bell`] rings for the mailbox. The log's indexes over what strangers name are filled behind that, many events at
//! once ([`bell::indexing`]); until then an event is found as it lies. What retention removes leaves them in the same way, and is
//! passed by until then.
//!
//! [`bell::waiting`] has listened since before it looked, so the ring cannot fall between: it claims the event for its
//! worker, with a lease and a token, and [`mcp`] presents it, every foreign word inside a fence. The agent reads the message
//! through [`bell::upstream`], tags it `handled`, and its token acks the event. Where no agent runs, [`bell::attending`] does
//! this for a command: it leases, has the command run, and acks or releases by how that ended.
//!
//! Where nothing has come within a second and the client takes tasks, the wait goes on as one (`mcp::tasks`): its principal's
//! alone, in memory, ended with whoever would fetch its result. The call, its gate and its record are the same.
//!
//! Who waits for nothing can be told: [`bell::following`] reads what is new once for all of a process's MCP clients, and
//! `mcp::notify` tells each which resource to read again.
//!
//! ## One message's way out
//!
//! [`mail::submission`] checks what an agent wrote, composes it, and queues it in one transaction with a secret return path
//! and with the rules that may refuse it: its key, the suppression list, the hourly limits. The worker in [`mail::outbox`]
//! puts it into mailboxes here (in the transaction that takes it off the queue), lets the [`mail::simulator`] play, or hands
//! it to the [`mail::relay`], and stores each answer together with the event that tells of it.
//!
//! What comes back later comes in like any mail. [`mail::reports`] reads it: standard reports by their fields, all others by
//! signs and rules that are data (`signs.toml`, `rules.toml`); [`mail::returned`] ties it to what was sent, and says how
//! surely. Only proof suppresses an address: a live answer, a report at the secret return path, or a complaint that a
//! reporter named in `mail.arf_reporters` signed.
//!
//! ## One change that waits
//!
//! Every change, by a tool or by a key, is a request to the mail API, and [`domain::oversight`] judges it as one: by the
//! mailbox's mode, kept in `bell.db`, and by what it weighs; what it does not know weighs as a change. [`bell::oversight`] lets
//! it pass, refuses it, or keeps it: a letter first goes to `/v1/mailboxes/{mailbox}/preview`, which tells all of it as it would be
//! sent. An operator approves the digest of what is kept. The keeper's [`bell::oversight::Errands`] then do it, with a key that is
//! made anew each term and written nowhere, under the name of its action, and tell the outcome as an `approval` event. The lease
//! that it was asked for under runs until then, and ten minutes longer for the agent to hear of it. Where the mailbox has it so
//! (`schedule_first`), what is sent later is kept until its moment, and asked about then.
//!
//! Where the operator has said of a token that a person sits before its program, [`mcp`] asks that person first: by a request
//! in the call, or by a result that wants an answer, whose state the house has sealed. The store decides on the digest shown.
//!
//! Whom the settings name is told of what needs a person. [`bell::notices`] looks through each record from a mark that is kept, notes
//! facts and mark in one transaction of the keeper's term, and makes letters whose bytes stay; [`app`] lends it the mail wing's
//! ways out. Letters by mail come from a mailbox that is nobody's, and of what becomes of them no event tells.
//!
//! ## Whose mail it takes
//!
//! [`mail::domains::Domains`] alone knows: those of the settings, and those that the API added, which are rows in `mail.db`.
//! Whoever takes mail in, sends it or makes a mailbox asks it. [`mail::closing`] erases the account in small transactions, after
//! a note that has the next keeper go on with it, until what waited for an operator is ended too; the bell wing's log and record stay.
//!
//! ## The operator's pages
//!
//! [`http::console`] makes whole pages of what the stores and the mail service say, and acts through the doors of the commands, on
//! record as `console:SESSION`. The operator token never goes through a browser: [`bell::entrance`] makes a code for whoever holds
//! it, which opens the console once, within a minute, and what it opened ends with that token. The live feed is
//! [`bell::following`], told with what the audit record says of each event. Sessions are the keeper's, in memory.
//!
//! ## A mail service elsewhere
//!
//! With `mail.base_url` there is no mail wing. [`bell::hosted`] registers one webhook there for everything, and at every start
//! and each hour brings mail into the log that the webhook did not tell of, from the API's lists. A list knows no event ids,
//! so between these two tellers it is the message that says whether the event is known.
//!
//! ## The mailbox one already has
//!
//! The keeper reads a source of the dialect `imap` over IMAP ([`bell::imap`]), one connection a folder, with IDLE. What a message
//! says is told by the mail wing's reader ([`mail::elsewhere`]), which [`app`] hands in. The message, its events and how far the
//! folder is read are one transaction under the term's epoch, so that each message is told once over kills, reconnects and
//! changes of UIDVALIDITY. Such messages are kept in `bell.db` ([`store::received`]), and [`bell::upstream`] shows them among
//! those of the mail API.
//!
//! ## A message that a webhook brings
//!
//! Where a provider's webhook carries a message, [`bell::intake`] has it read by the same reader and keeps it beside those of
//! mailboxes elsewhere, in the transaction of its event, under an id that no other message has. What the provider still has (Resend's
//! text, files) is fetched by its API when it is first read ([`bell::upstream`]), and kept. One place there says where a
//! message is read from. [`bell::health`] concludes from what was refused what is likely wrong with a source.
//!
//! ## A copy elsewhere
//!
//! [`app::backup`] copies both databases as of one moment ([`store::snapshot`]): the write locks of both are held while a reader
//! begins on each, and the copies are what these two see. So whatever `mail.db` says was told is in `bell.db`, and what it
//! does not say yet is told again and known. What proves who somebody is stays behind unless it is asked for. A log that is
//! restored has another id, and the house of it is paused: what went out since is still owed in it.
//!
//! ## What always holds
//!
//! - Nothing parses a body before its signature is checked; where a provider signs fields inside it (Mailgun), just those are
//!   read. A signature that does not cover the body counts once, for the events that it came with first. A certificate that a
//!   request names is fetched ([`bell::fetch`]) from its provider's own host, once that request may be its source's.
//! - A 2xx from `/hooks`, and a `250` from SMTP, means: on disk. The process may be killed at any instruction after it. A full
//!   disk answers 503 and 452 and goes on later; a disk that fails at a commit ends the process.
//! - Every commit is on disk when it is answered, but for one that holds leases alone ([`store::leases::Claim::on_disk`]): a power
//!   loss ends a lease anyway, and whatever is done under it is a commit of its own. A power loss takes the newest commits alone.
//! - `seq` rises in commit order, may skip, never repeats. Who reads may see what is not on disk yet (`store::flushes`), so the
//!   first term of a boot skips places.
//! - A keeper whose term is over writes nothing to `mail.db` and sends nothing, whatever it was at.
//! - The bell may ring for nothing and may miss a beat; correctness never depends on it.
//! - A consumer is rows above a low-water mark below which all is acked or parked. A filter narrows one call and skips
//!   nothing. Each event is with one worker at a time; a stale lease token changes nothing. Deadlines are on the boot clock.
//! - A later event of a thread is handed out when the earlier one is acked or parked, or to the worker that has that one too.
//! - Nothing has an effect outside by a tool before its intent is on record; entries have no gaps and follow by HMAC.
//! - A notification holds an address that its client wrote itself, kinds, places and counts. A client that does not take its
//!   notifications has one due for each resource that it follows, and holds up nobody; what it follows goes with its session.
//! - Retention removes the log's old end alone, and no event that a consumer owes and that is younger than `unsettled_days`; the
//!   ids stay behind, so that what is told again is known.
//! - A tool that acts under a lease makes sure of the lease first; a command of `mailbell on` ends with the process that leased.
//! - A route of `/v1` is written once; the router makes the document at `/v1/openapi.json`, and stories hold each answer to it.
//! - No API key makes, changes or ends one that may more than itself. Keys and modes are an operator's to make and to change.
//! - No change is asked of the mail API without a [`bell::oversight::Pass`], and no request that changes something reaches a
//!   handler of `/v1` before the same gate. What is approved is done from the bytes that were shown, once; no letter twice.
//! - What the operator is told has an id that stays at every try; of a letter of ours that comes back nobody is told by letter.
//! - While paused, nothing goes out but to our own receiver, and that time counts for no delivery.
//! - The console answers to the very address of its listener, changes nothing without its own origin and a session's token, and
//!   looks at a message of this service without marking it. Its pages load nothing from elsewhere, and run one script, which
//!   writes texts alone.
//! - Nothing is changed in a mailbox elsewhere, but for the mark "seen" where its source allows that. No report there suppresses,
//!   and what was sent from it is no news.
//! - What a stream of `subscriptions/listen` is told of is compared with what was there before it was acknowledged.
//! - Who learns of a mailbox's mail beside it (its copies, its `webhook_url`) is for an operator to say.
//! - No later event of a mailbox is first sent to an endpoint before the earlier one is delivered or dead. A replay goes beside
//!   that line and holds up nothing in it.
//! - Time in which the worker does not run, asleep or stopped, counts for no delivery, and a try ends each. What is owed to a
//!   webhook that is off is on no line, and its time goes on; where that ends, no try does.
//! - A request's body is read to its end before the answer, or the answer ends the connection and says so.
//! - stdout belongs to the MCP wire in stdio mode. Secrets, bodies and addresses reach no log line.
//! - A file that came with mail goes to a client as bytes of a type of ours, never as text; as text it stands in a fence.
//! - Foreign text reaches a model only inside a fence whose name is random per result: a result and a sentence are made of
//!   types that no bare text has ([`mcp::present`]). Sixty hostile mails are read through every tool to see it.
//!
//! ## What is absent
//!
//! The mail wing never relays what comes in by SMTP and sends no report of its own. A report suppresses nobody unless our
//! secret came back with it, or a reporter that the operator named has signed it by DKIM. The bell wing never opens `mail.db`.
//! A process that is not the keeper binds nothing and changes no schema.

pub mod app;
pub mod bell;
pub mod cli;
pub mod config;
pub mod domain;
pub mod http;
pub mod ids;
pub mod mail;
pub mod mcp;
pub mod measures;
pub mod reach;
pub mod signing;
pub mod store;
pub mod telemetry;
pub mod tls;
pub mod wake;
