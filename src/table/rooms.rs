//! Where updates are while they are under way.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aws_sdk_dynamodb::config::Builder;
use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::update_item::builders::UpdateItemFluentBuilder;
use aws_sdk_dynamodb::operation::update_item::{UpdateItemError, UpdateItemOutput};
use futures_util::FutureExt;
use tokio_util::sync::ReusableBoxFuture;

use super::repeats::Repeats;
use crate::schema::Item;

/// So many are kept when nobody is in them, each of 6 KB or a little more.
const MOST_KEPT: usize = 64;

/// The item, where it was asked for. The rest is on the heap or left out, so that whoever awaits the answer has room for no more.
pub(super) type Answer = Result<Option<Item>, Box<SdkError<UpdateItemError>>>;
type Room = ReusableBoxFuture<'static, Answer>;

/// Rooms for updates that are under way.
///
/// A call of the SDK is a future of more than 6 KB. What awaits one would have it in itself: every task that is worked on, from its
/// start to its end. To make a box for each and throw it away costs more than a hundredth of a call, since allocators are slow with
/// sizes like that, and the memory is another one each time, which the processor does not have at hand. So the boxes are kept.
#[derive(Clone, Default)]
pub(super) struct Rooms(Arc<Mutex<Vec<Room>>>);

/// An update that is under way.
pub(super) struct Sent<'a> {
    room: Room,
    /// Where the room is kept afterwards, if it is one that the next update fits into.
    rooms: Option<&'a Rooms>,
}

impl Rooms {
    /// Sends it. Not inlined, since what is on its way into the room would have its place on the stack of whoever awaits the answer.
    #[inline(never)]
    pub(super) fn send(&self, request: UpdateItemFluentBuilder) -> Sent<'_> {
        let kept = self.kept().pop();
        let room = match kept {
            None => Room::new(request.send().map(item_of)),
            Some(mut room) => {
                room.set(request.send().map(item_of));
                room
            }
        };
        Sent { room, rooms: Some(self) }
    }

    /// Sends it with what most requests do without, and so in a room of another size.
    #[inline(never)]
    pub(super) fn send_customized(
        request: UpdateItemFluentBuilder,
        repeats: Option<Repeats>,
        settings: Option<Builder>,
    ) -> Sent<'static> {
        let mut request = request.customize();
        if let Some(repeats) = repeats {
            request = request.interceptor(repeats);
        }
        if let Some(settings) = settings {
            request = request.config_override(settings);
        }
        Sent { room: Room::new(request.send().map(item_of)), rooms: None }
    }

    fn keep(&self, room: Room) {
        let mut kept = self.kept();
        if kept.len() < MOST_KEPT {
            kept.push(room);
        }
    }

    fn kept(&self) -> MutexGuard<'_, Vec<Room>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sent<'_> {
    pub(super) async fn answer(mut self) -> Answer {
        let answer = (&mut self.room).await;
        if let Some(rooms) = self.rooms {
            rooms.keep(self.room);
        }
        answer
    }
}

fn item_of(answer: Result<UpdateItemOutput, SdkError<UpdateItemError>>) -> Answer {
    answer.map(|answer| answer.attributes).map_err(Box::new)
}

impl fmt::Debug for Rooms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rooms").field("kept", &self.kept().len()).finish()
    }
}
