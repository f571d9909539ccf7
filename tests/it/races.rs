//! Many workers, one task.

use std::sync::Arc;

use dynamo_tracker::{StartOptions, Status};
use tokio::sync::Barrier;

use crate::bed::Bed;

crate::tests![of_64_contenders_one_wins, takeovers_have_one_winner_each, creators_race];

const CONTENDERS: usize = 64;
const ROUNDS: usize = 50;

async fn of_64_contenders_one_wins(bed: Bed) {
    let client = bed.client::<()>();
    for round in 0..ROUNDS {
        let barrier = Arc::new(Barrier::new(CONTENDERS));
        let contenders = (0..CONTENDERS).map(|number| {
            let (client, barrier) = (client.clone(), Arc::clone(&barrier));
            tokio::spawn(async move {
                barrier.wait().await;
                client.start_with(format!("t{round}"), StartOptions::new().owner(number.to_string())).await
            })
        });
        let results = futures_util::future::join_all(contenders).await;
        let (won, refused): (Vec<_>, Vec<_>) =
            results.into_iter().map(|result| result.unwrap()).partition(Result::is_ok);
        assert_eq!((won.len(), refused.len()), (1, CONTENDERS - 1), "round {round}");
        let winner = won.into_iter().next().unwrap().unwrap();
        for error in refused {
            let error = error.unwrap_err();
            assert!(error.is_locked(), "{error}");
            assert_eq!(error.tracker().unwrap().lock, Some(winner.token()), "all see the same winner");
        }
        let record = winner.succeed().await.unwrap();
        assert_eq!((record.attempts, record.generation), (1, 1));
    }
}

async fn takeovers_have_one_winner_each(bed: Bed) {
    let client = bed.builder::<()>().max_attempts(ROUNDS as u32).build().unwrap();
    let mut last = client.start("t").await.unwrap();
    for round in 2..=10 {
        bed.clock.advance(std::time::Duration::from_secs(61));
        let contenders = (0..8).map(|_| client.start("t"));
        let results = futures_util::future::join_all(contenders).await;
        let mut won: Vec<_> = results.into_iter().filter_map(Result::ok).collect();
        assert_eq!(won.len(), 1);
        let winner = won.remove(0);
        assert_eq!((winner.attempt(), winner.generation()), (round, u64::from(round)));
        assert!(last.succeed().await.unwrap_err().is_lease_lost());
        last = winner;
    }
    assert_eq!(last.succeed().await.unwrap().status, Status::Succeeded);
}

async fn creators_race(bed: Bed) {
    let client = bed.client::<()>();
    let results = futures_util::future::join_all((0..16).map(|_| client.create("t"))).await;
    let created = results.iter().filter(|result| result.is_ok()).count();
    assert_eq!(created, 1, "even with equal records at the same time");
}
