//! The disclosure engine's file, and how it becomes settings.

use serde::Deserialize;
use serde::de::IgnoredAny;
use toml::Spanned;

use super::error::Fault;
use super::file::{EngineName, MANY, NODES};
use super::value::Count;
use super::{Disclosure, Kind, Share};
use crate::adversary::{Background, Draw, Ends, Matching, PARTNERS_MAX, Sends};

/// How sure an adversary must be, in parts of the whole, unless set: 95 %.
const SURE: u64 = Share::WHOLE / 100 * 95;

/// Partners at most.
const PARTNERS: u32 = {
    assert!(PARTNERS_MAX == 20);
    20
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DisclosureFile {
    #[serde(rename = "version")]
    _version: u32,
    #[serde(rename = "engine")]
    _engine: EngineName,
    #[serde(rename = "sweep", default)]
    _sweep: IgnoredAny,
    pub(super) name: Spanned<String>,
    pub(super) about: String,
    pub(super) replicates: Count<1, 10_000>,
    targets: Count<1, MANY>,
    rounds: Spanned<Count<1, MANY>>,
    users: UsersFile,
    target: TargetFile,
    traffic: TrafficFile,
    adversary: AdversaryFile,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct UsersFile {
    count: Spanned<Count<2, MANY>>,
    presence: Option<Spanned<Share>>,
    leave: Option<Share>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TargetFile {
    partners: Spanned<Count<1, PARTNERS>>,
    sends: Spanned<Share>,
    cover: Option<Spanned<Share>>,
    leaves: Option<Share>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TrafficFile {
    batch: Count<2, MANY>,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum KindName {
    Intersection,
    Presence,
    Statistical,
    Swarms,
    Predecessor,
    Bayes,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum BackgroundName {
    Uniform,
    Estimated,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum SendsName {
    Copies,
    Receipts,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum DrawName {
    Independent,
    Distinct,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AdversaryFile {
    kind: Spanned<KindName>,
    sure: Option<Spanned<Share>>,
    look_every: Option<Spanned<Count<1, MANY>>>,
    background: Option<Spanned<BackgroundName>>,
    swarms: Option<Spanned<Count<2, NODES>>>,
    seen: Option<Spanned<Share>>,
    learns_by: Option<Spanned<SendsName>>,
    nodes: Option<Spanned<Count<4, NODES>>>,
    malicious: Option<Spanned<Share>>,
    ends: Option<Spanned<DrawName>>,
    tpr: Option<Spanned<Share>>,
    fpr: Option<Spanned<Share>>,
}

pub(super) fn disclosure(file: &DisclosureFile) -> Result<Disclosure, Fault> {
    let (users, target, adversary) = (&file.users, &file.target, &file.adversary);
    let kind_name = *adversary.kind.get_ref();
    adversary.only_its_own_keys()?;
    let partners = target.partners.get_ref().0;
    if partners >= users.count.get_ref().0 {
        let what = "expected fewer partners than users.count";
        return Err(Fault::new(target.partners.span(), what));
    }
    let of_one = [KindName::Intersection, KindName::Presence, KindName::Bayes];
    if partners > 1 && of_one.contains(&kind_name) {
        let what = "this adversary looks for one partner: expected 1, or kind = \"statistical\", \"swarms\" or \"predecessor\"";
        return Err(Fault::new(target.partners.span(), what));
    }
    match (&users.presence, kind_name) {
        (None, KindName::Presence) => {
            let what = "this adversary sees who is online: it needs users.presence";
            return Err(Fault::new(adversary.kind.span(), what));
        }
        (Some(presence), other) if other != KindName::Presence => {
            let what = "only kind = \"presence\" sees who is online: leave this key out";
            return Err(Fault::new(presence.span(), what));
        }
        _ => {}
    }
    sends(target)?;
    let look_every = adversary.look_every.as_ref();
    if let Some(late) = look_every.filter(|every| every.get_ref().0 > file.rounds.get_ref().0) {
        return Err(Fault::new(late.span(), "expected at most as many as rounds"));
    }
    Ok(Disclosure {
        targets: file.targets.0,
        rounds: file.rounds.get_ref().0,
        users: users.count.get_ref().0,
        presence: users.presence.as_ref().map(|presence| *presence.get_ref()),
        users_leave: users.leave.unwrap_or_default(),
        partners,
        sends: *target.sends.get_ref(),
        cover: target.cover.as_ref().map(|cover| *cover.get_ref()).unwrap_or_default(),
        target_leaves: target.leaves.unwrap_or_default(),
        batch: file.traffic.batch.0,
        sure: adversary.sure()?,
        look_every: look_every.map_or(1, |every| every.get_ref().0),
        adversary: adversary.kind(&target.sends)?,
    })
}

fn sends(target: &TargetFile) -> Result<(), Fault> {
    let sends = *target.sends.get_ref();
    if sends == Share::NONE {
        let what = "expected above \"0 %\": a target that never sends gives nothing away";
        return Err(Fault::new(target.sends.span(), what));
    }
    if let Some(cover) = target.cover.as_ref().filter(|_| sends.parts() == Share::WHOLE) {
        let what = "dummies go out in rounds without a message, and with sends = \"100 %\" there are none: leave this key out or lower sends";
        return Err(Fault::new(cover.span(), what));
    }
    Ok(())
}

impl AdversaryFile {
    /// Refuses keys of other kinds.
    fn only_its_own_keys(&self) -> Result<(), Fault> {
        use KindName::{Bayes, Predecessor, Statistical, Swarms};
        fn span<T>(key: Option<&Spanned<T>>) -> Option<core::ops::Range<usize>> {
            key.map(Spanned::span)
        }
        let keys: [(_, &[KindName], _); 9] = [
            (span(self.background.as_ref()), &[Statistical, Swarms], "statistical and swarms have"),
            (span(self.swarms.as_ref()), &[Swarms], "swarms has"),
            (span(self.seen.as_ref()), &[Swarms], "swarms has"),
            (span(self.learns_by.as_ref()), &[Swarms], "swarms has"),
            (span(self.nodes.as_ref()), &[Predecessor], "predecessor has"),
            (span(self.malicious.as_ref()), &[Predecessor], "predecessor has"),
            (span(self.ends.as_ref()), &[Predecessor], "predecessor has"),
            (span(self.tpr.as_ref()), &[Bayes], "bayes has"),
            (span(self.fpr.as_ref()), &[Bayes], "bayes has"),
        ];
        for (span, kinds, whose) in keys {
            if let Some(span) = span.filter(|_| !kinds.contains(self.kind.get_ref())) {
                let what = format!("only the kind {whose} this key: leave it out");
                return Err(Fault::new(span, what));
            }
        }
        Ok(())
    }

    fn needs<'a, T>(
        &self,
        key: Option<&'a Spanned<T>>,
        what: &str,
    ) -> Result<&'a Spanned<T>, Fault> {
        key.ok_or_else(|| Fault::new(self.kind.span(), what))
    }

    fn sure(&self) -> Result<Share, Fault> {
        match &self.sure {
            None => Ok(Share::from_parts(SURE)),
            Some(sure) if *sure.get_ref() > Share::NONE => Ok(*sure.get_ref()),
            Some(sure) => Err(Fault::new(sure.span(), "expected above \"0 %\"")),
        }
    }

    fn background(&self, sends: &Spanned<Share>) -> Result<Background, Fault> {
        match &self.background {
            Some(estimated) if matches!(estimated.get_ref(), BackgroundName::Estimated) => {
                if sends.get_ref().parts() == Share::WHOLE {
                    let what = "is estimated from rounds in which the target is silent, and with sends = \"100 %\" there are none: expected \"uniform\"";
                    return Err(Fault::new(estimated.span(), what));
                }
                Ok(Background::Estimated)
            }
            _ => Ok(Background::Uniform),
        }
    }

    fn kind(&self, sends: &Spanned<Share>) -> Result<Kind, Fault> {
        Ok(match self.kind.get_ref() {
            KindName::Intersection => Kind::Intersection,
            KindName::Presence => Kind::Presence,
            KindName::Statistical => Kind::Statistical { background: self.background(sends)? },
            KindName::Swarms => {
                let what = "swarms needs adversary.swarms and adversary.seen";
                let swarms = self.needs(self.swarms.as_ref(), what)?.get_ref().0;
                let seen = *self.needs(self.seen.as_ref(), what)?.get_ref();
                let sends_by = match self.learns_by.as_ref().map(Spanned::get_ref) {
                    Some(SendsName::Receipts) => Sends::Receipts,
                    Some(SendsName::Copies) | None => Sends::Copies,
                };
                Kind::Swarms { background: self.background(sends)?, swarms, seen, sends: sends_by }
            }
            KindName::Predecessor => Kind::Predecessor(self.ends()?),
            KindName::Bayes => Kind::Bayes(self.matching()?),
        })
    }

    fn ends(&self) -> Result<Ends, Fault> {
        let what = "predecessor needs adversary.nodes and adversary.malicious";
        let nodes = self.needs(self.nodes.as_ref(), what)?.get_ref().0;
        let malicious = self.needs(self.malicious.as_ref(), what)?.get_ref();
        let malicious = malicious.of(nodes as usize);
        let draw = match self.ends.as_ref().map(Spanned::get_ref) {
            Some(DrawName::Independent) => Draw::Independent,
            Some(DrawName::Distinct) | None => Draw::Distinct,
        };
        Ok(Ends { nodes, malicious: u32::try_from(malicious).unwrap_or(nodes), draw })
    }

    fn matching(&self) -> Result<Matching, Fault> {
        let what = "bayes needs adversary.tpr and adversary.fpr";
        let tpr = self.needs(self.tpr.as_ref(), what)?;
        let fpr = *self.needs(self.fpr.as_ref(), what)?.get_ref();
        if *tpr.get_ref() == Share::NONE && fpr == Share::NONE {
            let what = "nothing is ever declared a match: expected tpr or fpr above \"0 %\"";
            return Err(Fault::new(tpr.span(), what));
        }
        Ok(Matching { tpr: *tpr.get_ref(), fpr })
    }
}
