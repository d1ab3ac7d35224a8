//! `specs/vectors/mailbox.json`: written when `ENJAMBRE_WRITE_VECTORS=1`, else compared.

use std::path::Path;

use serde_json::{Value, json};

use super::net::{NETWORK, device, node_key, owner};
use crate::id::{Digest, StoreId, SwarmId, to_hex};
use crate::identity::Rights;
use crate::mailbox::{
    Author, Call, ChangeCall, ChunkHash, ErrorKind, ExpiryMode, MessageHash, Mutation, Namespace,
    NamespaceClass, Op, Receipt, ReceiptBody, ReceiptNonce, Record, RecordKey, Request,
    RetrieveCall, Scope, Stamp, StoreCall, TokenBody, Verify, Written, changes_digest,
    hashes_digest,
};
use crate::swarm::point;
use crate::time::Timestamp;
use crate::wire;

const AT: Timestamp = Timestamp::from_millis(1_800_000_000_123);
const LATER: Timestamp = Timestamp::from_millis(1_800_086_400_123);
const NONCE: ReceiptNonce = ReceiptNonce::from_bytes([0x0e; 16]);

/// Compares `value` with the file byte for byte, or writes it.
fn check_file(name: &str, value: &Value) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../vectors").join(name);
    let mut text = serde_json::to_string_pretty(value).unwrap();
    text.push('\n');
    if std::env::var_os("ENJAMBRE_WRITE_VECTORS").is_some_and(|value| value == "1") {
        std::fs::write(&path, &text).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap();
    assert!(found == text, "{} differs from what this build makes", path.display());
}

fn key(namespace: Namespace) -> RecordKey {
    let account = owner(1).id;
    RecordKey { account, namespace, hash: MessageHash::of(&account, namespace, b"data") }
}

fn namespaces() -> Value {
    let class = |number: i16| match Namespace::new(number).class() {
        NamespaceClass::Inbox => "inbox",
        NamespaceClass::Outbox => "outbox",
        NamespaceClass::Own => "own",
    };
    let numbers = [0, 10, -10, -20, 1, 2, 11, -1, -21, -41, -2, -11, -31, -111, i16::MAX, i16::MIN];
    let each = numbers.map(|number| {
        let revoked_may_read = Namespace::new(number).revoked_may_read();
        json!({ "number": number, "class": class(number), "revoked_may_read": revoked_may_read })
    });
    json!(each)
}

fn statement(name: &str, scope: Scope, op: Op) -> Value {
    let alice = owner(1);
    let mutation = alice.sign(scope, AT, op);
    let author = &mutation.by.author;
    let body = Mutation::signed_body(&op, author, &alice.id, scope, AT);
    json!({
        "op": name,
        "scope": to_hex(&scope.to_bytes()),
        "body": to_hex(&body),
        "signature": mutation.by.signature,
        "digest": mutation.digest(),
    })
}

fn statements() -> Value {
    let own = Namespace::new(2);
    let hash = key(own).hash;
    let one = Scope::One(own);
    let token = TokenBody::from_bytes([0x55; 36]);
    let expire = |mode| Op::Expire { hash, mode, expiry: LATER };
    let (hash_list, before) = (hashes_digest(&[hash]), Timestamp::from_millis(1_799_999_999_000));
    json!([
        statement("store, 86 400 s", one, Op::Store { hash, ttl: 86_400 }),
        statement("retrieve", one, Op::Retrieve),
        statement("delete", one, Op::Delete { hash }),
        statement("delete-all, every namespace", Scope::All, Op::DeleteAll),
        statement("delete-before", one, Op::DeleteBefore { before }),
        statement("expire, set", one, expire(ExpiryMode::Set)),
        statement("expire, shorten", one, expire(ExpiryMode::Shorten)),
        statement("expire, extend", one, expire(ExpiryMode::Extend)),
        statement("expire-all", one, Op::ExpireAll { expiry: LATER }),
        statement("get-expiries", one, Op::GetExpiries { hashes: hash_list }),
        statement("revoke", Scope::All, Op::Revoke { token }),
        statement("restore", Scope::All, Op::Restore { token }),
    ])
}

fn by_token() -> Value {
    let (account, key, token) = device(1, Rights::READ);
    let author = Author::SubAccount { account: account.public(), token };
    let (id, scope) = (account.id(), Scope::One(Namespace::INBOX));
    let mutation = Mutation::signed(&key, author.clone(), &NETWORK, &id, scope, AT, Op::Retrieve);
    json!({
        "recipe": "account seed 01 (16 times), device signing seed fe (32 times), right: read, \
                   serial 1; retrieve in namespace 0",
        "token": to_hex(&token.to_bytes()),
        "body": to_hex(&Mutation::signed_body(&Op::Retrieve, &author, &id, scope, AT)),
        "signature": mutation.by.signature,
    })
}

fn receipt() -> Receipt {
    let key = key(Namespace::INBOX);
    let body = ReceiptBody {
        swarm: SwarmId::new(0x0102_0304_0506_0708).unwrap(),
        configuration: 9,
        store: StoreId::from_bytes([0x0a; 16]),
        point: point(key.account.key()),
        written: Written::Record,
        namespace: key.namespace,
        subject: Digest::from_bytes(*key.hash.as_bytes()),
        expiry: LATER,
        accepted_at: AT,
        nonce: NONCE,
    };
    Receipt::new(&node_key(0), &NETWORK, body)
}

fn requests() -> Vec<(&'static str, Request)> {
    let alice = owner(1);
    let own = Namespace::new(2);
    let hash = key(own).hash;
    let store = |namespace, by| {
        let (account, data) = (alice.id, b"data".to_vec().into());
        Call::Store(StoreCall { account, namespace, ttl: 86_400, data, by, nonce: NONCE })
    };
    let signed = alice.authorize(own, AT, Op::Store { hash, ttl: 86_400 });
    let by = Some(alice.authorize(own, AT, Op::Retrieve));
    let (account, max_bytes) = (alice.id, 1_000);
    let retrieve = RetrieveCall { account, namespace: own, after: None, max_bytes, by };
    let delete = ChangeCall::by_owner(
        &alice.key,
        &NETWORK,
        alice.id,
        Scope::One(own),
        AT,
        [Op::Delete { hash }],
        NONCE,
    );
    let one = |call| Request::One(Box::new(call));
    vec![
        ("store into the inbox, unsigned", one(store(Namespace::INBOX, None))),
        ("store into namespace 2, by the owner", one(store(own, Some(signed)))),
        ("retrieve from namespace 2", one(Call::Retrieve(retrieve))),
        ("delete from namespace 2", one(Call::Change(delete))),
        ("get-chunk", one(Call::GetChunk(ChunkHash::of(b"chunk")))),
        ("batch of info and info", Request::Batch(vec![Call::Info, Call::Info])),
    ]
}

/// Requests that a member refuses before it looks at its store, each with the kind of error.
fn refused() -> Vec<(&'static str, Request, ErrorKind)> {
    let alice = owner(1);
    let (own, outbox) = (Namespace::new(2), Namespace::OUTBOX);
    let hash = key(own).hash;
    let store = |namespace, ttl, len, by| {
        let (account, data) = (alice.id, vec![7; len].into());
        let call = StoreCall { account, namespace, ttl, data, by, nonce: NONCE };
        Request::One(Box::new(Call::Store(call)))
    };
    let change = |scope: Scope, ops: &[Op]| Request::One(Box::new(alice.change(scope, AT, ops)));
    let other = alice.authorize(own, AT, Op::Store { hash, ttl: 3_600 });
    let delete = Op::Delete { hash };
    vec![
        (
            "inbox, lifetime not on the list",
            store(Namespace::INBOX, 3_601, 4, None),
            ErrorKind::Ttl,
        ),
        ("inbox, no data", store(Namespace::INBOX, 3_600, 0, None), ErrorKind::Malformed),
        ("namespace 2, no signature", store(own, 3_600, 4, None), ErrorKind::Unauthorised),
        (
            "namespace 2, signature over other data",
            store(own, 3_600, 4, Some(other)),
            ErrorKind::Unauthorised,
        ),
        ("delete by hash in every namespace", change(Scope::All, &[delete]), ErrorKind::Malformed),
        ("delete by hash in an outbox", change(outbox.into(), &[delete]), ErrorKind::Malformed),
        ("no operation", change(own.into(), &[]), ErrorKind::Malformed),
        ("sixty-five operations", change(own.into(), &[Op::DeleteAll; 65]), ErrorKind::TooLarge),
        ("retrieve as a change", change(own.into(), &[Op::Retrieve]), ErrorKind::Malformed),
        (
            "revoke in one namespace",
            change(own.into(), &[Op::Revoke { token: TokenBody::from_bytes([1; 36]) }]),
            ErrorKind::Malformed,
        ),
    ]
}

fn verdict(request: Request) -> Result<(), ErrorKind> {
    let checked = request.verify(&NETWORK).map_err(|error| error.kind())?.into_checked();
    for part in checked.parts {
        part.map_err(|error| error.kind())?;
    }
    Ok(())
}

#[test]
fn vectors_are_what_this_build_makes() {
    let inbox = key(Namespace::INBOX);
    let stamp = Stamp::new(&node_key(0), &NETWORK, &inbox, AT, LATER);
    let accepted = requests();
    let refused = refused();
    for (name, request) in &accepted {
        assert_eq!(verdict(request.clone()), Ok(()), "{name}");
    }
    for (name, request, kind) in &refused {
        assert_eq!(verdict(request.clone()), Err(*kind), "{name}");
    }
    let delete = owner(1).sign(Namespace::INBOX, LATER, Op::Delete { hash: inbox.hash });
    let record = Record::accepted(stamp, None);
    let deleted = record.clone().merge(Record::stated(delete.clone()).unwrap());
    let accepted: Vec<Value> = accepted
        .iter()
        .map(|(name, request)| json!({ "name": name, "bytes": to_hex(&wire::encode(request)) }))
        .collect();
    let refused: Vec<Value> = refused
        .iter()
        .map(|(name, request, kind)| {
            json!({ "name": name, "error": kind, "bytes": to_hex(&wire::encode(request)) })
        })
        .collect();
    let value = json!({
        "recipe": "network 03 (32 times); owner: Ed25519 seed 01 (32 times); member: Ed25519 seed \
                   64 (32 times); data: the ASCII bytes \"data\"; chunk: \"chunk\"; signed at \
                   1800000000123 ms, expiry 1800086400123 ms; nonce 0e (16 times)",
        "network": NETWORK,
        "account_id": owner(1).id,
        "point": format!("{:016x}", point(owner(1).id.key()).0),
        "namespaces": namespaces(),
        "hashes": {
            "data in namespace 0": inbox.hash,
            "data in namespace 2": key(Namespace::new(2)).hash,
            "data in namespace -1": key(Namespace::OUTBOX).hash,
            "chunk": ChunkHash::of(b"chunk"),
        },
        "statements_in_namespace_2": statements(),
        "change_list_digest": changes_digest(&[delete]),
        "by_token": by_token(),
        "stamp_in_namespace_0": { "by": stamp.by, "signature": stamp.signature },
        "receipt": {
            "recipe": "swarm 0102030405060708, configuration 9, store 0a (16 times), the record \
                       above in namespace 0",
            "bytes": to_hex(&wire::encode(&receipt())),
            "signature": receipt().signature,
        },
        "record_state_digests": {
            "accepted with the stamp above": record.digest(),
            "and deleted by the owner at 1800086400123 ms": deleted.digest(),
        },
        "requests": accepted,
        "must_fail": refused,
    });
    check_file("mailbox.json", &value);
}
