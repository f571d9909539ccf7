//! What packing data saves in write units, and what it takes of the processor, by the size of the data: to choose a threshold by.
//!
//!     cargo bench --bench packing
//!     cargo bench --bench packing -- --sizes 1,16 --rounds 5 --json
//!     cargo bench --bench packing -- --backend local --save
//!
//! A task is created with the data, started and ended: three writes, each of which DynamoDB charges by the whole item. The units are
//! those that it says. The time is what a packing client takes longer than another to make the write that creates the task, and to
//! read the record: the median of the rounds, in which the two take turns. Orders are data as programs have it, with names that come
//! again and again, and ids that don't; random bytes are what nothing packs, and stay as they are.

mod backend;
mod median;
#[expect(dead_code, reason = "only write units are counted here")]
#[path = "../tests/it/bed/meter.rs"]
mod meter;
mod report;

use std::collections::HashMap;
use std::ffi::CString;
use std::hint::black_box;
use std::time::Instant;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use clap::Parser;
use dynamo_tracker::{Data, NewTask, TrackerClient};
use serde_json::{Value, json};

use backend::{Backend, Server};
use median::median;
use meter::Meter;
use report::{Axis, Lines};

#[derive(Parser)]
struct Args {
    #[command(flatten)]
    output: report::Output,
    /// Where the table is; embedded, it is in memory.
    #[arg(long, value_enum, default_value_t = Backend::Embedded)]
    backend: Backend,
    /// How large the data is, in KB: orders as JSON text, or random bytes.
    #[arg(long, value_delimiter = ',', default_value = "1,2,4,16,64,256,300")]
    sizes: Vec<usize>,
    /// How often each is packed and unpacked.
    #[arg(long, default_value_t = 101)]
    rounds: usize,
}

/// Data of one size, packed and not.
struct Row {
    kb: usize,
    /// Of the attribute `data`, where it is packed.
    packed_bytes: Option<usize>,
    plain_units: f64,
    packed_units: f64,
    pack_micros: f64,
    unpack_micros: f64,
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let args = Args::parse();
    let server = Server::start(args.backend, None).await;
    println!("data           stored  write units: plain  packed   pack      unpack    ({} rounds)", args.rounds);
    let [mut orders_rows, mut random_rows] = [Vec::new(), Vec::new()];
    for kb in &args.sizes {
        orders_rows.push(Bench::new(&server).await.measure(*kb, orders(kb * 1024), args.rounds).await.said("orders"));
        random_rows.push(Bench::new(&server).await.measure(*kb, random(kb * 1024), args.rounds).await.said("random"));
    }
    let figures = json!({
        "backend": args.backend.to_string(),
        "orders": orders_rows.iter().map(Row::to_json).collect::<Vec<_>>(),
        "random": random_rows.iter().map(Row::to_json).collect::<Vec<_>>(),
    });
    args.output.finish("packing", figures, &[&units_chart(&orders_rows, &random_rows), &time_chart(&orders_rows)]);
}

/// Orders, of so many bytes of JSON or a little more, the same each time.
fn orders(bytes: usize) -> Value {
    const CUSTOMERS: [&str; 6] =
        ["Ada Lovelace", "Grace Hopper", "Alan Turing", "Barbara Liskov", "Mary Shaw", "Ken Iverson"];
    const GOODS: [&str; 5] = ["ribbon cable", "power supply", "pocket lamp", "paper clips", "field notes"];
    let mut random = fastrand::Rng::with_seed(7);
    let (mut orders, mut written) = (Vec::new(), 0);
    while written < bytes {
        let line = |random: &mut fastrand::Rng| json!({"goods": random.choice(GOODS), "count": random.u32(1..10), "cents": random.u32(99..10_000)});
        let lines: Vec<Value> = (0..random.usize(1..4)).map(|_| line(&mut random)).collect();
        let order = json!({
            "id": format!("{:032x}", random.u128(..)),
            "customer": random.choice(CUSTOMERS),
            "time": format!("2026-11-{:02}T{:02}:{:02}:00Z", random.u8(1..31), random.u8(0..24), random.u8(0..60)),
            "paid": random.bool(),
            "lines": lines,
        });
        written += order.to_string().len() + 1;
        orders.push(order);
    }
    orders.into()
}

/// So many random bytes, the same each time. A `CString`, which serde writes as bytes, has no zeros.
fn random(bytes: usize) -> CString {
    let mut random = fastrand::Rng::with_seed(7);
    CString::new(std::iter::repeat_with(|| random.u8(1..)).take(bytes).collect::<Vec<_>>()).expect("it has no zeros")
}

/// A client that does not pack, and one that does. A program has one or the other, so their tasks have names of their own.
struct Bench<D> {
    plain: TrackerClient<D>,
    packing: TrackerClient<D>,
    meter: Meter,
}

impl<D: Data + Clone> Bench<D> {
    async fn new(server: &Server) -> Self {
        let meter = Meter::default();
        let sdk = Client::from_conf(server.config().interceptor(meter.clone()).build());
        let builder = |namespace| TrackerClient::builder(sdk.clone()).table("packing").namespace(namespace);
        let plain = builder("plain").build().expect("a client");
        plain.create_table().await.expect("a table");
        Self { plain, packing: builder("packed").pack_data_over(0).build().expect("a client"), meter }
    }

    async fn measure(&self, kb: usize, data: D, rounds: usize) -> Row {
        let units = async |client| self.units(client, format!("{kb}-{}", std::any::type_name::<D>()), &data).await;
        let (plain_units, packed_units) = (units(&self.plain).await, units(&self.packing).await);
        let clients = [&self.plain, &self.packing];
        let items = clients.map(|client| item(client, &data));
        let packs = |side: usize| micros(|| item(clients[side], &data));
        let unpacks = |side: usize| {
            let item = items[side].clone();
            micros(|| clients[side].decode(item).expect("a record"))
        };
        Row {
            kb,
            packed_bytes: packed_bytes(&items[1]),
            plain_units,
            packed_units,
            pack_micros: median((0..rounds).map(|_| packs(1) - packs(0))),
            unpack_micros: median((0..rounds).map(|_| unpacks(1) - unpacks(0))),
        }
    }

    /// What the writes of a task take.
    async fn units(&self, client: &TrackerClient<D>, id: String, data: &D) -> f64 {
        self.meter.forget();
        client.create(NewTask::new(&id).data(data.clone())).await.expect("it is new");
        client.start(&id).await.expect("it starts").succeed().await.expect("it ends");
        let units = self.meter.units();
        assert_eq!(units.len(), 3, "create, start, end");
        units.iter().sum()
    }
}

/// The item of a task with this data, as it would be created.
fn item<D: Data + Clone>(client: &TrackerClient<D>, data: &D) -> HashMap<String, AttributeValue> {
    let write = client.create_item(NewTask::new("t").data(data.clone())).expect("an item");
    write.put.expect("it puts the item").item
}

fn packed_bytes(item: &HashMap<String, AttributeValue>) -> Option<usize> {
    let bytes = item["data"].as_b().ok()?.as_ref();
    bytes.starts_with(b"dynamo-tracker:zstd:").then_some(bytes.len())
}

fn micros<T>(work: impl FnOnce() -> T) -> f64 {
    let begun = Instant::now();
    let done = black_box(work());
    let taken = begun.elapsed();
    drop(done);
    taken.as_secs_f64() * 1e6
}

impl Row {
    fn said(self, kind: &str) -> Self {
        let stored = self.packed_bytes.map_or("plain".to_owned(), |bytes| bytes.to_string());
        println!(
            "{kind} {:4} KB {stored:>8} {:19} {:7} {:7.0} us {:7.0} us",
            self.kb, self.plain_units, self.packed_units, self.pack_micros, self.unpack_micros
        );
        self
    }

    fn to_json(&self) -> Value {
        json!({
            "kb": self.kb,
            "packed_bytes": self.packed_bytes,
            "plain_units": self.plain_units,
            "packed_units": self.packed_units,
            "pack_micros": self.pack_micros,
            "unpack_micros": self.unpack_micros,
        })
    }
}

fn line(name: &str, rows: &[Row], value: impl Fn(&Row) -> f64) -> (String, Vec<(f64, f64)>) {
    (name.to_owned(), rows.iter().map(|row| (row.kb as f64, value(row))).collect())
}

fn units_chart(orders: &[Row], random: &[Row]) -> Lines {
    Lines {
        title: "Write units of a task: created, started, ended".to_owned(),
        x: ("data, KB".to_owned(), Axis::Log),
        y: ("write units".to_owned(), Axis::Log),
        series: vec![
            line("orders, plain", orders, |row| row.plain_units),
            line("orders, packed", orders, |row| row.packed_units),
            line("random bytes, which packing does not change", random, |row| row.packed_units),
        ],
    }
}

/// A difference that is lost in the noise may be below 0, which this axis does not have.
fn time_chart(orders: &[Row]) -> Lines {
    Lines {
        title: "Processor's time for orders".to_owned(),
        x: ("data, KB".to_owned(), Axis::Log),
        y: ("microseconds".to_owned(), Axis::Log),
        series: vec![
            line("to pack", orders, |row| row.pack_micros.max(0.1)),
            line("to unpack", orders, |row| row.unpack_micros.max(0.1)),
        ],
    }
}
