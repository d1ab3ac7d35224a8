//! How values of the protocol stand in columns: ids as blobs, times as milliseconds.
//!
//! SQLite's integers are signed; times and counts of the protocol stop at their largest value, which
//! is far beyond any that occurs.

use enjambre_protocol::envelope::{ConversationId, MessageId};
use enjambre_protocol::id::{Digest, NodeId, StoreId, SwarmId};
use enjambre_protocol::identity::AccountId;
use enjambre_protocol::time::Timestamp;
use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSql, ToSqlOutput, Value, ValueRef};

/// A value of the protocol as a column. A wrapper, since neither side is ours.
#[derive(Clone, Copy)]
pub(super) struct Col<T>(pub(super) T);

macro_rules! id_column {
    ($($id:ty),*) => {$(
        impl ToSql for Col<$id> {
            fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
                Ok(ToSqlOutput::Borrowed(ValueRef::Blob(self.0.as_bytes())))
            }
        }

        impl FromSql for Col<$id> {
            fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
                Ok(Self(<$id>::from_bytes(FromSql::column_result(value)?)))
            }
        }
    )*};
}
id_column!(MessageId, ConversationId, Digest, NodeId, StoreId);

impl ToSql for Col<AccountId> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Owned(Value::Blob(self.0.to_bytes().to_vec())))
    }
}

impl FromSql for Col<AccountId> {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let bytes: [u8; AccountId::LEN] = FromSql::column_result(value)?;
        AccountId::from_bytes(&bytes).map(Self).map_err(FromSqlError::other)
    }
}

impl ToSql for Col<SwarmId> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Owned(Value::Blob(self.0.position().to_be_bytes().to_vec())))
    }
}

impl FromSql for Col<SwarmId> {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let position = u64::from_be_bytes(FromSql::column_result(value)?);
        SwarmId::new(position).map(Self).ok_or(FromSqlError::InvalidType)
    }
}

impl ToSql for Col<Timestamp> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Owned(Value::Integer(to_integer(self.0.as_millis()))))
    }
}

impl FromSql for Col<Timestamp> {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        Col::<u64>::column_result(value).map(|millis| Self(Timestamp::from_millis(millis.0)))
    }
}

impl ToSql for Col<u64> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Owned(Value::Integer(to_integer(self.0))))
    }
}

impl FromSql for Col<u64> {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let number = value.as_i64()?;
        u64::try_from(number).map(Self).map_err(|_| FromSqlError::OutOfRange(number))
    }
}

fn to_integer(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A reader of named columns: `row.get` with the wrapper taken off.
pub(super) trait RowExt {
    /// The value of a column.
    fn col<T>(&self, name: &'static str) -> rusqlite::Result<T>
    where
        Col<T>: FromSql;

    /// The value of a column that may be empty.
    fn maybe<T>(&self, name: &'static str) -> rusqlite::Result<Option<T>>
    where
        Col<T>: FromSql;
}

impl RowExt for rusqlite::Row<'_> {
    fn col<T>(&self, name: &'static str) -> rusqlite::Result<T>
    where
        Col<T>: FromSql,
    {
        self.get::<_, Col<T>>(name).map(|col| col.0)
    }

    fn maybe<T>(&self, name: &'static str) -> rusqlite::Result<Option<T>>
    where
        Col<T>: FromSql,
    {
        self.get::<_, Option<Col<T>>>(name).map(|col| col.map(|col| col.0))
    }
}
