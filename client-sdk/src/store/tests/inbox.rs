//! Messages that came, their files, and the receipts owed for them.

use super::*;

#[test]
fn unread_messages_of_one_conversation_stand_in_the_order_they_were_written() {
    let temp = Temp::new();
    let store = temp.open();
    // Ana's third message comes first, from a member that missed the others; Ben's are in between.
    for (sender, message, counter) in [(1, 3, 2), (2, 9, 5), (1, 1, 0), (2, 8, 4), (1, 2, 1)] {
        let new = NewInboxMessage { counter, ..incoming(sender, message) };
        write(&store, |change| change.receive(&new));
    }
    let unread = read(&store, |view| view.unread());
    let counters: Vec<_> =
        unread.iter().map(|row| (row.message.sender, row.message.counter)).collect();
    let (ana, ben) = (account(1), account(2));
    assert_eq!(counters, [(ana, 0), (ben, 4), (ana, 1), (ben, 5), (ana, 2)]);
}

#[test]
fn message_is_received_once_a_sender() {
    let temp = Temp::new();
    let store = temp.open();
    let keys = write(&store, |change| {
        Ok([
            change.receive(&incoming(1, 1))?,
            change.receive(&incoming(1, 1))?,
            change.receive(&incoming(2, 1))?,
            change.receive(&incoming(1, 2))?,
        ])
    });
    assert_eq!(keys.map(|key| key.is_some()), [true, false, true, true]);
    let unread = read(&store, |view| view.unread());
    let came: Vec<_> = unread.iter().map(|row| row.message.clone()).collect();
    assert_eq!(came, [incoming(1, 1), incoming(2, 1), incoming(1, 2)]);
    write(&store, |change| change.set_read(unread[1].key, at(70)));
    write(&store, |change| change.set_read(unread[1].key, at(80)));
    assert_eq!(read(&store, |view| view.unread_count()), 2);
    let row = read(&store, |view| view.incoming(&account(2), &incoming(2, 1).message)).unwrap();
    assert_eq!(row.read, Some(at(70)));
}

#[test]
fn receipts_are_owed_to_contacts_until_they_are_queued() {
    let temp = Temp::new();
    let store = temp.open();
    let key = write(&store, |change| {
        change.put_contact(&contact(1, None))?;
        change.receive(&incoming(2, 5))?;
        change.receive(&incoming(1, 1))
    });
    let key = key.unwrap();
    let owed = || -> Vec<_> {
        let owed = read(&store, |view| view.owed_receipts());
        owed.into_iter().map(|receipt| (receipt.sender, receipt.state)).collect()
    };
    assert_eq!(owed(), [(account(1), ReceiptState::Received)]);
    write(&store, |change| change.receipt_queued(key, ReceiptState::Received));
    assert_eq!(owed(), []);
    write(&store, |change| change.set_read(key, at(70)));
    assert_eq!(owed(), [(account(1), ReceiptState::Read)]);
    write(&store, |change| change.receipt_queued(key, ReceiptState::Read));
    write(&store, |change| change.receipt_queued(key, ReceiptState::Received));
    assert_eq!(owed(), []);
}

#[test]
fn files_of_contacts_wait_until_they_are_saved_or_given_up() {
    let temp = Temp::new();
    let store = temp.open();
    let file = |name: &str| NewFile { name: name.to_owned(), size: 5, reference: vec![1, 2, 3] };
    let key = write(&store, |change| {
        let key = change.receive(&incoming(1, 1))?.unwrap();
        change.add_file(key, &file("a.txt"))?;
        change.add_file(key, &file("b.txt"))?;
        Ok(key)
    });
    let count = || {
        [FilesFrom::Contacts, FilesFrom::Strangers]
            .map(|from| read(&store, |view| view.file_count(from)))
    };
    assert_eq!(count(), [0, 2]);
    let due = |secs| {
        let rows = read(&store, |view| view.files_due(at(secs)));
        rows.into_iter().map(|row| row.file.name).collect::<Vec<_>>()
    };
    assert!(due(1).is_empty(), "a stranger's files are nobody's to fetch");
    write(&store, |change| change.put_contact(&contact(1, None)));
    assert_eq!((due(1), count()), (vec!["a.txt".to_owned(), "b.txt".to_owned()], [2, 0]));
    let path = Path::new("/tmp/a b.txt");
    let place = |place| FileKey { inbox: key, place };
    write(&store, |change| change.plan_file(place(0), path));
    assert_eq!(read(&store, |view| view.files(key))[0].plan.as_deref(), Some(path));
    write(&store, |change| change.file_saved(place(0), path));
    let saved = read(&store, |view| view.files(key)).remove(0);
    assert_eq!((saved.path.as_deref(), saved.plan), (Some(path), None));
    write(&store, |change| change.file_failed(place(1), "not there", Some(at(9))));
    assert_eq!((due(8), due(9)), (vec![], vec!["b.txt".to_owned()]));
    write(&store, |change| change.file_failed(place(1), "never was", None));
    let ended = read(&store, |view| view.files(key)).remove(1);
    assert_eq!((ended.tries, ended.reason.as_deref()), (2, Some("never was")));
    assert!(ended.is_ended && due(1000).is_empty());
    assert_eq!(count(), [0, 0]);
}
