//! Logs of a run, and the page made from them.

use std::fs;
use std::path::PathBuf;

use hetal::Error;
use hetal::train::log::{ClientEvent, Phase, Quality, ServerEvent, Writer, latest, read};
use hetal::train::report;
use roxmltree::{Document, Node, ParsingOptions};

const STEPS_PER_EPOCH: usize = 6;

/// A file that is removed at the end.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        Self(std::env::temp_dir().join(format!("hetal-{}-{name}.jsonl", std::process::id())))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

fn start(preset: &str, first_step: usize) -> ServerEvent {
    ServerEvent::Start {
        unix_time: 1_709_164_800 + 7200 * first_step as u64,
        preset: preset.to_owned(),
        insecure: preset.starts_with("test"),
        mode: "fast".to_owned(),
        rows: 5616,
        features: 196,
        classes: 4,
        batch: 1024,
        steps_per_epoch: STEPS_PER_EPOCH,
        epochs: 22,
        logit_range: 32.0,
        key_bytes: 2_345_678_901,
        predicted_step_seconds: 27.5,
        predicted_memory_bytes: 13 << 30,
        first_step,
        threads: 2,
    }
}

/// From −1 to 1, the same every time.
fn noise(i: usize) -> f64 {
    (i as f64 * 12.9898).sin()
}

fn step(number: usize) -> ServerEvent {
    let parts = [
        ("load", 0.4, 0, 5, 45.0),
        ("weights", 1.3, 0, 8, 44.98),
        ("logits", 5.2, 0, 7, 44.98),
        ("softmax", 9.6, 2, 6, 45.02),
        ("errors", 0.3, 0, 5, 45.0),
        ("gradient", 4.1, 0, 3, 45.0),
        ("update", 0.5, 0, 2, 44.99),
        ("refresh", 6.8, 1, 10, 45.0),
    ];
    let phases: Vec<Phase> = parts
        .iter()
        .enumerate()
        .map(|(i, &(name, seconds, bootstraps, level, log_scale))| Phase {
            name: name.to_owned(),
            seconds: seconds * (1.0 + 0.06 * noise(10 * number + i)),
            bootstrap_seconds: 3.1 * bootstraps as f64,
            bootstraps,
            level,
            log_scale,
        })
        .collect();
    ServerEvent::Step {
        epoch: (number - 1) / STEPS_PER_EPOCH + 1,
        step: number,
        rows: 1024,
        seconds: phases.iter().map(|phase| phase.seconds).sum::<f64>() + 0.1,
        phases,
        bootstraps: 3,
        level: 10,
        log_scale: 45.0,
        memory_bytes: (11 << 30) + (number.min(9) << 26),
    }
}

fn server(steps: usize, end: bool) -> Vec<ServerEvent> {
    let mut events = vec![start("n16", 0)];
    for number in 1..=steps {
        events.push(step(number));
        if number % STEPS_PER_EPOCH == 0 {
            let epoch = number / STEPS_PER_EPOCH;
            events.push(ServerEvent::Epoch { epoch, seconds: 170.0, validation_seconds: 11.0, go_on: true });
            events.push(ServerEvent::Checkpoint { step: number, seconds: 0.21, bytes: 345 << 20 });
        }
    }
    if end {
        events.push(ServerEvent::End {
            steps,
            epochs: steps.div_ceil(STEPS_PER_EPOCH),
            seconds: 4012.0,
            peak_memory_bytes: 12_945_678_901,
            reason: "stopped by the client".to_owned(),
        });
    }
    events
}

fn quality(epoch: usize, offset: f64) -> Quality {
    let t = epoch as f64;
    Quality {
        loss: 0.18 + 1.2 * (-t / 5.0).exp() + 0.01 * offset + 0.004 * noise(epoch),
        accuracy: 0.9642 - 0.4 * (-t / 4.0).exp() - 0.003 * offset,
        max_logit: 17.0 * (1.0 - (-t / 9.0).exp()),
    }
}

fn client(steps: usize) -> Vec<ClientEvent> {
    let mut events = Vec::new();
    for step in 1..=steps {
        let t = step as f64;
        events.push(ClientEvent::Weights {
            step,
            difference: 3e-6 * t.sqrt() * (1.0 + 0.5 * noise(step)),
            max_weight: 0.3,
            max_logit: 18.5 * (1.0 - (-t / 50.0).exp()) + noise(step),
            loss: 0.15 + 1.2 * (-t / 30.0).exp() + 0.03 * noise(3 * step),
        });
        if step % STEPS_PER_EPOCH == 0 {
            let epoch = step / STEPS_PER_EPOCH;
            events.push(ClientEvent::Validation {
                epoch,
                step,
                encrypted: quality(epoch, 0.0),
                twin: Some(quality(epoch, 0.02)),
                exact: Some(quality(epoch, -1.0)),
                go_on: true,
            });
        }
    }
    events.push(ClientEvent::Test {
        encrypted: Quality { loss: 0.2125, accuracy: 0.9571, max_logit: 17.25 },
        twin: Some(Quality { loss: 0.2126, accuracy: 0.9570, max_logit: 17.24 }),
        exact: Some(Quality { loss: 0.2101, accuracy: 0.9585, max_logit: 16.5 }),
        confusion: vec![vec![190, 6, 3, 1], vec![4, 380, 0, 0], vec![10, 0, 240, 0], vec![0, 3, 0, 97]],
    });
    events
}

/// The page as a tree: it is well-formed. Nothing in it is not finite.
fn checked<T>(page: &str, check: impl FnOnce(&Document) -> T) -> T {
    let options = ParsingOptions { allow_dtd: true, ..ParsingOptions::default() };
    let document = Document::parse_with_options(page, options).expect("well-formed");
    for svg in elements(&document, "svg").filter(|svg| svg.attribute("role") == Some("img")) {
        assert!(svg.children().any(|child| child.has_tag_name((SVG, "title"))));
        assert!(svg.children().any(|child| child.has_tag_name((SVG, "desc"))));
    }
    assert!(elements(&document, "table").all(|table| table.children().any(|c| c.tag_name().name() == "caption")));
    assert!(!page.contains("NaN") && !page.contains("inf") && !page.contains("<script"), "{page}");
    assert!(!page.contains("http://") || page.matches("http://").count() == page.matches("http://www.w3.org/").count());
    check(&document)
}

const SVG: &str = "http://www.w3.org/2000/svg";

fn elements<'a>(document: &'a Document, name: &'a str) -> impl Iterator<Item = Node<'a, 'a>> {
    document.descendants().filter(move |node| node.is_element() && node.tag_name().name() == name)
}

fn text(node: Node) -> String {
    node.descendants().filter_map(|node| if node.is_text() { node.text() } else { None }).collect()
}

fn headings(document: &Document) -> Vec<String> {
    elements(document, "h2").map(text).collect()
}

/// What the head says under a name.
fn fact(document: &Document, name: &str) -> String {
    let term = elements(document, "dt").find(|dt| text(*dt) == name).expect("the fact");
    text(term.next_sibling_element().expect("a value"))
}

#[test]
fn complete_run() {
    let page = report(&server(132, true), &client(132));
    checked(&page, |document| {
        let all = ["Learning", "Batches", "Logits", "Exactness", "Memory", "Time", "Levels", "Test"];
        assert_eq!(headings(document), all);
        assert_eq!(fact(document, "Training set"), "5\u{202f}616 × 196rows × features, 4 classes");
        assert_eq!(fact(document, "Steps"), "132in 22 epochs");
        assert_eq!(fact(document, "Total time"), "1 h 06 minvalidation 4 min 02 s");
        assert!(fact(document, "Seconds per step").starts_with("28.3 smedian; all steps 1 h 02 min"));
        assert_eq!(fact(document, "Best epoch"), "22least validation loss");
        assert_eq!(fact(document, "Peak memory"), "12.06 GiBof the server");
        assert_eq!(fact(document, "Evaluation keys"), "2.18 GiBheld by the server");
        assert_eq!(fact(document, "Test accuracy"), "95.71 %loss 0.2125");
        assert_eq!(fact(document, "Checkpoint"), "345.0 MiB0.21 s to write; 22 files written");
        assert_eq!(fact(document, "End"), "stopped by the client");
        let tables: Vec<_> = elements(document, "table").map(|table| (table, text(table))).collect();
        assert_eq!(tables.len(), 5);
        // Precision and recall of class 0: 190 of 204 and of 200.
        assert!(tables[4].1.contains("020093.14 %95.00 %"), "{}", tables[4].1);
        assert_eq!(elements(document, "figure").count(), 9);
        let softmax = elements(document, "tr").map(text).find(|row| row.starts_with("softmax")).expect("a row");
        assert!(softmax.ends_with("26.20"), "{softmax}");
    });
    for wanted in
        ["128-bit secure", "Begun 2024-02-29 00:00 UTC", "preset n16", "mode fast", "22 (best)", "margin of 14.1"]
    {
        assert!(page.contains(wanted), "{wanted}");
    }
    assert!(!page.contains(r#"class="bad""#));
}

#[test]
fn server_alone() {
    checked(&report(&server(132, true), &[]), |document| {
        assert_eq!(headings(document), ["Memory", "Time", "Levels"]);
    });
}

#[test]
fn client_alone() {
    checked(&report(&[], &client(132)), |document| {
        assert_eq!(headings(document), ["Learning", "Batches", "Logits", "Exactness", "Test"]);
    });
    checked(&report(&[], &[]), |document| assert_eq!(elements(document, "h1").count(), 1));
}

#[test]
fn resumed_run() {
    let mut events = server(10, true);
    let mut again = step(9);
    if let ServerEvent::Step { seconds, .. } = &mut again {
        *seconds = 1000.0;
    }
    events.extend([start("n16", 8), again, step(10), step(11)]);
    let kept: Vec<usize> = latest(&events)
        .iter()
        .filter_map(|event| if let ServerEvent::Step { step, .. } = event { Some(*step) } else { None })
        .collect();
    assert_eq!(kept, (1..=11).collect::<Vec<_>>());
    let page = report(&events, &[]);
    checked(&page, |document| {
        assert_eq!(fact(document, "Resumed"), "1 timeafter step 8");
        // The end before the resumption is none.
        assert_eq!(fact(document, "End"), "none yetstill running, or cut off");
        assert_eq!(fact(document, "Steps"), "11in 2 epochs");
        let hovers = elements(document, "rect").filter(|rect| rect.attribute("class") == Some("hover"));
        let told: Vec<_> = hovers.map(text).filter(|told| told.starts_with("step 9:")).collect();
        assert_eq!(told, ["step 9: 1000 seconds"]);
    });
    // Epochs and steps of the same number are not mixed up.
    assert_eq!(latest(&server(132, true)).len(), server(132, true).len());
}

#[test]
fn interrupted_run() {
    let mut client = client(20);
    client.pop();
    checked(&report(&server(20, false), &client), |document| {
        assert_eq!(fact(document, "End"), "none yetstill running, or cut off");
        assert_eq!(fact(document, "Best epoch"), "3so far");
        assert_eq!(fact(document, "Steps"), "20in 4 epochs");
        assert!(!headings(document).contains(&"Test".to_owned()));
    });
}

#[test]
fn one_step() {
    let mut client = client(6);
    client.drain(1..6);
    checked(&report(&server(1, false), &client), |document| {
        assert_eq!(fact(document, "Steps"), "1in 1 epoch");
        assert_eq!(elements(document, "figure").count(), 9);
    });
    checked(&report(&server(0, false), &[]), |document| assert!(headings(document).is_empty()));
}

#[test]
fn logits_beyond_the_domain() {
    let mut client = client(12);
    if let ClientEvent::Weights { max_logit, .. } = &mut client[4] {
        *max_logit = 35.5;
    }
    let page = report(&server(12, true), &client);
    checked(&page, |_| ());
    assert!(page.contains(r#"<p class="bad">The largest logit is 35.5, on the batch at step 5: 3.5 beyond ±32"#));
}

#[test]
fn hostile_strings() {
    let hostile = "test</style><script>alert('1')</script>\"&\u{0}\u{1b}]]>";
    let mut events = vec![start(hostile, 0), step(1)];
    if let ServerEvent::Start { mode, .. } = &mut events[0] {
        *mode = hostile.to_owned();
    }
    if let ServerEvent::Step { phases, .. } = &mut events[1] {
        phases[0].name = hostile.to_owned();
        phases[3].name = hostile.to_owned();
    }
    let reason = hostile.to_owned();
    let (steps, epochs, seconds, peak_memory_bytes) = (1, 1, 1.0, 1);
    events.push(ServerEvent::End { steps, epochs, seconds, peak_memory_bytes, reason });
    let page = report(&events, &[]);
    checked(&page, |document| {
        assert_eq!(fact(document, "End"), hostile.replace(['\u{0}', '\u{1b}'], "\u{fffd}"));
    });
    assert!(page.contains(r#"<span class="bad">INSECURE</span>"#));
}

fn has_fact(document: &Document, name: &str) -> bool {
    elements(document, "dt").any(|dt| text(dt) == name)
}

#[test]
fn best_epoch_is_one_within_the_range() {
    let mut client = client(18);
    let mut loss = 0.1;
    for event in &mut client {
        if let ClientEvent::Validation { epoch, encrypted, .. } = event {
            // The range is 32.
            (encrypted.loss, encrypted.max_logit) = (loss, [0.0, 31.5, 32.0, 32.01][*epoch]);
            loss /= 2.0;
        }
    }
    let page = report(&server(18, true), &client);
    checked(&page, |document| assert_eq!(fact(document, "Best epoch"), "2least validation loss"));
    assert!(page.contains("2 (best)") && !page.contains("3 (best)"));
    for event in &mut client {
        if let ClientEvent::Validation { encrypted, .. } = event {
            encrypted.max_logit = 33.0;
        }
    }
    let page = report(&server(18, true), &client);
    checked(&page, |document| assert!(!has_fact(document, "Best epoch")));
    assert!(!page.contains("(best)"));
}

#[test]
fn run_without_validation() {
    let mut server = server(12, true);
    for event in &mut server {
        if let ServerEvent::Epoch { validation_seconds, .. } = event {
            *validation_seconds = 1e-5;
        }
    }
    let mut client = client(12);
    client.retain(|event| !matches!(event, ClientEvent::Validation { .. }));
    let end = server.last().cloned().expect("an end");
    let resumed = [&server[..], &[start("n16", 12), end]].concat();
    for (server, client) in [(&server, &client), (&resumed, &client), (&server, &Vec::new())] {
        checked(&report(server, client), |document| {
            assert!(!has_fact(document, "Best epoch"));
            assert_eq!(fact(document, "Steps"), "12in 2 epochs");
            assert_eq!(fact(document, "Total time"), "1 h 06 min");
            assert_eq!(fact(document, "End"), "stopped by the client");
            if client.is_empty() {
                assert!(!has_fact(document, "Result"));
            } else {
                assert_eq!(fact(document, "Result"), "epoch 2the last one, as there was no validation");
            }
        });
    }
}

#[test]
fn logs_are_read_as_written() {
    let file = Scratch::new("written");
    let (first, second) = (server(7, false), server(3, true));
    for events in [&first, &second] {
        let mut writer = Writer::open(&file.0).expect("a new file");
        events.iter().for_each(|event| writer.write(event).expect("finite"));
    }
    let events: Vec<ServerEvent> = read(&file.0).expect("whole lines");
    assert_eq!(events.len(), first.len() + second.len());
    assert_eq!(report(&events[..first.len()], &[]), report(&first, &[]));
    assert_eq!(fs::read_to_string(&file.0).expect("a file").lines().count(), events.len());
}

#[cfg(unix)]
#[test]
fn the_clients_log_is_its_own() {
    use std::os::unix::fs::PermissionsExt;
    let file = Scratch::new("own");
    Writer::<ClientEvent>::open(&file.0).expect("a new file");
    assert_eq!(fs::metadata(&file.0).expect("a file").permissions().mode() & 0o777, 0o600);
}

#[test]
fn torn_line() {
    let file = Scratch::new("torn");
    let mut writer = Writer::open(&file.0).expect("a new file");
    [start("n16", 0), step(1), step(2)].iter().for_each(|event| writer.write(event).expect("finite"));
    drop(writer);
    let whole = fs::read(&file.0).expect("a file");
    // A cut within the last line, also within all of it.
    for cut in [1, 20, 200] {
        fs::write(&file.0, &whole[..whole.len() - cut]).expect("space");
        assert_eq!(read::<ServerEvent>(&file.0).expect("whole lines").len(), 2);
        Writer::open(&file.0).expect("a file").write(&step(2)).expect("finite");
        assert_eq!(fs::read(&file.0).expect("a file"), whole);
    }
    fs::write(&file.0, "{\"event\":\"st").expect("space");
    assert!(read::<ServerEvent>(&file.0).expect("nothing").is_empty());
    Writer::open(&file.0).expect("a file").write(&step(2)).expect("finite");
    assert_eq!(read::<ServerEvent>(&file.0).expect("whole lines").len(), 1);
}

#[test]
fn bad_line() {
    let file = Scratch::new("bad");
    let mut writer = Writer::open(&file.0).expect("a new file");
    writer.write(&start("n16", 0)).expect("finite");
    for bad in ["{\"event\":\"stop\"}\n", "\n", "{\"event\":\"step\",\"epoch\":\n", "\u{0}\u{0}\n"] {
        let mut bytes = fs::read(&file.0).expect("a file");
        let length = bytes.len();
        bytes.extend(bad.as_bytes());
        fs::write(&file.0, &bytes).expect("space");
        let error = read::<ServerEvent>(&file.0).expect_err("a bad line").to_string();
        assert!(error.contains("line 2") && error.contains(file.0.to_str().expect("text")), "{error}");
        fs::write(&file.0, &bytes[..length]).expect("space");
    }
    let missing = read::<ServerEvent>(Scratch::new("missing").0.as_path()).expect_err("no file");
    assert!(matches!(missing, Error::Io { .. }) && missing.to_string().contains("missing"));
    // A client's event is none of the server's.
    let mut writer = Writer::open(&file.0).expect("a file");
    writer.write(client(1).last().expect("an event")).expect("finite");
    assert!(read::<ServerEvent>(&file.0).is_err());
}

#[test]
fn only_finite_numbers() {
    let file = Scratch::new("finite");
    let mut writer = Writer::open(&file.0).expect("a new file");
    for bad in [f64::NAN, f64::INFINITY] {
        let event = ClientEvent::Weights { step: 1, difference: bad, max_weight: 1.0, max_logit: 1.0, loss: 1.0 };
        assert!(matches!(writer.write(&event), Err(Error::Malformed { .. })));
    }
    assert!(read::<ClientEvent>(&file.0).expect("nothing").is_empty());
}
