//! What tasks work on: one small order, or so many that they are about 100 KB as JSON.

use serde::{Deserialize, Serialize};

/// How many bytes the many are at least.
const LARGE: usize = 100_000;

#[derive(Clone, Default, Serialize, Deserialize)]
pub(crate) struct Order {
    number: u64,
    customer: String,
    total: f64,
    paid: bool,
    pages: Vec<String>,
}

pub(crate) fn small() -> Order {
    order(42)
}

pub(crate) fn large() -> Vec<Order> {
    let of_one = serde_json::to_vec(&small()).expect("it is JSON").len();
    (0..LARGE.div_ceil(of_one) as u64).map(order).collect()
}

fn order(number: u64) -> Order {
    Order {
        number,
        customer: format!("customer-{}", number * 7919 % 1000),
        total: number as f64 * 1.25,
        paid: number.is_multiple_of(2),
        pages: (1..4).map(|page| format!("s3://orders/{number}/page-{page}.png")).collect(),
    }
}
