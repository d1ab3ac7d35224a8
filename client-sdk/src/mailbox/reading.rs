//! Reading from as many members of a swarm as are needed, all at once.

use std::time::Duration;

use enjambre_protocol::id::NodeId;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::{NO_ANSWER, Swarm, SwarmError};
use crate::deadline::Deadline;
use crate::net::Net;

/// A member that says nothing for longer gets company: twice what a slow path needs.
const HEDGE_AFTER: Duration = Duration::from_millis(1500);

/// What was heard of the members of a swarm.
#[derive(Debug)]
pub(crate) struct Answers {
    /// Members that answered to their end.
    pub(crate) answered: usize,
    /// Members whose answers together hold every write that was confirmed.
    pub(crate) quorum: usize,
    /// Members of the swarm.
    pub(crate) members: usize,
    /// Members that did not, whether they failed or were still silent at the end.
    missing: Vec<NodeId>,
    /// Why the last of those that failed did.
    last: Option<SwarmError>,
}

impl Answers {
    /// As if so many members had answered.
    #[cfg(test)]
    pub(crate) fn of(answered: usize, quorum: usize, members: usize) -> Self {
        let missing = (answered..members).map(|_| NodeId::from_bytes([1; 32])).collect();
        Self { answered, quorum, members, missing, last: None }
    }

    /// Whether nothing that was confirmed can be missing.
    pub(crate) const fn is_complete(&self) -> bool {
        self.answered >= self.quorum
    }

    /// What to say where too few answered.
    pub(crate) fn into_error(self) -> SwarmError {
        let Self { missing, members, last, .. } = self;
        let last = last.map_or(NO_ANSWER.to_owned(), |error| error.to_string());
        SwarmError::Unanswered { missing, members, last }
    }
}

/// Hands parts of a member's answer on as they come; waits while the one before is taken.
#[derive(Clone, Debug)]
pub(crate) struct Teller<T> {
    member: NodeId,
    tell: mpsc::Sender<(NodeId, Told<T>)>,
}

#[derive(Debug)]
pub(crate) enum Told<T> {
    Part(T),
    Ended(Result<(), SwarmError>),
}

impl<T> Teller<T> {
    /// One whose parts come out at the other end.
    #[cfg(test)]
    pub(crate) fn pair(member: NodeId, room: usize) -> (Self, mpsc::Receiver<(NodeId, Told<T>)>) {
        let (tell, told) = mpsc::channel(room);
        (Self { member, tell }, told)
    }

    /// One more part. Nobody listens any more where others have answered meanwhile.
    pub(crate) async fn tell(&self, part: T) {
        let _ = self.tell.send((self.member, Told::Part(part))).await;
    }
}

impl Net {
    /// Asks members beside each other until a read quorum has answered, one more where some are
    /// slow or fail, and gives every part to `take` as it comes: what a member gave before it
    /// failed is given too.
    pub(crate) async fn read<T, F, E>(
        &self,
        swarm: &Swarm,
        deadline: Deadline,
        ask: impl Fn(NodeId, Teller<T>) -> Result<F, E>,
        take: impl FnMut(NodeId, T) -> Result<(), E>,
    ) -> Result<Answers, E>
    where
        T: Send + 'static,
        F: Future<Output = Result<(), SwarmError>> + Send + 'static,
    {
        let (quorum, members) = (swarm.read_quorum(), self.shuffled(swarm));
        read_members(members, quorum, deadline, ask, take).await
    }
}

async fn read_members<T, F, E>(
    members: Vec<NodeId>,
    quorum: usize,
    deadline: Deadline,
    ask: impl Fn(NodeId, Teller<T>) -> Result<F, E>,
    mut take: impl FnMut(NodeId, T) -> Result<(), E>,
) -> Result<Answers, E>
where
    T: Send + 'static,
    F: Future<Output = Result<(), SwarmError>> + Send + 'static,
{
    let (count, missing) = (members.len(), members.clone());
    let mut answers = Answers { answered: 0, quorum, members: count, missing, last: None };
    // One place: memory holds no more than a part a member and the one that is taken.
    let (tell, mut told) = mpsc::channel(1);
    let mut waiting = members.into_iter();
    let mut tasks = JoinSet::new();
    let (mut under_way, mut extra) = (0, 0);
    while !answers.is_complete() {
        while answers.answered + under_way < quorum + extra
            && !deadline.has_passed()
            && let Some(member) = waiting.next()
        {
            let tell = tell.clone();
            let asked = ask(member, Teller { member, tell: tell.clone() })?;
            tasks.spawn(async move {
                let ended = asked.await;
                let _ = tell.send((member, Told::Ended(ended))).await;
            });
            under_way += 1;
        }
        if under_way == 0 {
            break;
        }
        match tokio::time::timeout(HEDGE_AFTER, told.recv()).await {
            Ok(Some((member, Told::Part(part)))) => take(member, part)?,
            Ok(Some((member, Told::Ended(ended)))) => {
                under_way -= 1;
                match ended {
                    Ok(()) => {
                        answers.answered += 1;
                        answers.missing.retain(|other| *other != member);
                    }
                    Err(error) => {
                        tracing::debug!(%error, "a member was not read");
                        answers.last = Some(error);
                    }
                }
            }
            Ok(None) => break,
            Err(_) if deadline.has_passed() => break,
            // Somebody is slow: ask one more, and take whoever is first.
            Err(_) => extra += 1,
        }
    }
    Ok(answers)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::BTreeSet;
    use std::convert::Infallible;
    use std::sync::Mutex;

    use super::*;
    use crate::net::NetError;

    fn members(count: u8) -> Vec<NodeId> {
        (0..count).map(|n| NodeId::from_bytes([n; 32])).collect()
    }

    fn number(member: &NodeId) -> u8 {
        member.as_bytes()[0]
    }

    /// Six members, of which a read quorum is three; member n does what `act` says.
    async fn read<F>(act: impl Fn(u8, Teller<u8>) -> F) -> (Answers, Vec<(u8, u8)>, BTreeSet<u8>)
    where
        F: Future<Output = Result<(), SwarmError>> + Send + 'static,
    {
        let asked = Mutex::new(BTreeSet::new());
        let mut taken = Vec::new();
        let deadline = Deadline::after(Duration::from_secs(60));
        let ask = |member: NodeId, tell| {
            asked.lock().unwrap().insert(number(&member));
            Ok::<_, Infallible>(act(number(&member), tell))
        };
        let take = |member: NodeId, part| {
            taken.push((number(&member), part));
            Ok(())
        };
        let Ok(answers) = read_members(members(6), 3, deadline, ask, take).await;
        (answers, taken, asked.into_inner().unwrap())
    }

    fn failure() -> SwarmError {
        NetError::Malformed.into()
    }

    #[tokio::test]
    async fn nothing_is_concluded_before_a_read_quorum_has_answered() {
        let (answers, taken, asked) = read(|member, tell: Teller<u8>| async move {
            tell.tell(member).await;
            Ok(())
        })
        .await;
        assert!(answers.is_complete());
        assert_eq!((answers.answered, asked.len(), taken.len()), (3, 3, 3));
    }

    #[tokio::test]
    async fn member_that_fails_is_replaced_and_what_it_gave_before_is_kept() {
        let (answers, taken, asked) = read(|member, tell: Teller<u8>| async move {
            tell.tell(1).await;
            if member < 2 {
                return Err(failure());
            }
            tell.tell(2).await;
            Ok(())
        })
        .await;
        assert_eq!((answers.answered, asked.len()), (3, 5));
        for member in 0..2 {
            assert!(taken.contains(&(member, 1)) && !taken.contains(&(member, 2)));
        }
    }

    #[tokio::test]
    async fn slow_members_get_company() {
        let (answers, _, asked) = read(|member, _: Teller<u8>| async move {
            if member == 0 {
                std::future::pending::<()>().await;
            }
            Ok(())
        })
        .await;
        assert!(answers.is_complete());
        assert_eq!(asked, BTreeSet::from([0, 1, 2, 3]));
    }

    #[tokio::test]
    async fn without_a_read_quorum_it_is_said_how_many_are_missing() {
        let (answers, ..) = read(|member, _: Teller<u8>| async move {
            if member < 4 { Err(failure()) } else { Ok(()) }
        })
        .await;
        assert!(!answers.is_complete());
        let error = answers.into_error().to_string();
        let missing: Vec<String> = members(4).iter().map(NodeId::short).collect();
        let expected =
            format!("4 of the swarm's 6 members gave no answer ({}): ", missing.join(", "));
        assert!(error.starts_with(&expected), "{error}");
    }

    /// A thousand parts a member, none of which the taker is given before it has taken the last.
    #[tokio::test]
    async fn parts_come_in_their_members_order_and_none_is_lost() {
        let (_, taken, _) = read(|_, tell: Teller<u8>| async move {
            for part in 0..=255 {
                tell.tell(part).await;
            }
            Ok(())
        })
        .await;
        let ended = (0..3).filter(|member| taken.contains(&(*member, 255)));
        for member in ended {
            let of_member = taken.iter().filter(|(from, _)| *from == member);
            assert!(of_member.map(|(_, part)| *part).eq(0..=255));
        }
    }
}
