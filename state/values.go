package state

import (
	"errors"
	"fmt"

	"github.com/dgraph-io/badger/v4"
)

// A value of the log that can't be read, since its checksum is another, or its file is gone or was cut, Badger gives as an empty one. It says
// why in its log only. No value that is kept there is empty, so that those can be told.

// errUnreadable says that a value isn't where its key says.
var errUnreadable = errors.New("a value can't be read from the value log")

// attempts is how often a value is looked for. Maintain moves values to other files: one that is found just before isn't there any more.
const attempts = 3

// read returns a copy of the value of a key.
func (d *disk) read(key []byte) (value []byte, ok bool, err error) {
	for range attempts {
		if value, ok, err = d.readOnce(key); !errors.Is(err, errUnreadable) {
			return value, ok, err
		}
	}
	return nil, false, fmt.Errorf("%w: %w", ErrCorrupt, err)
}

func (d *disk) readOnce(key []byte) (value []byte, ok bool, err error) {
	txn := d.db.NewTransaction(false)
	defer txn.Discard()
	item, err := txn.Get(key)
	if errors.Is(err, badger.ErrKeyNotFound) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, knownError(err)
	}
	value, err = item.ValueCopy(make([]byte, 0, item.ValueSize()))
	switch {
	case err != nil:
		return nil, false, knownError(err)
	case unreadable(item, value):
		return nil, false, errUnreadable
	}
	if value == nil {
		value = []byte{}
	}
	return value, true, nil
}

// value calls fn with the value of an iterator's item.
func (d *disk) value(item *badger.Item, fn func(value []byte) error) error {
	var again bool
	err := item.Value(func(value []byte) error {
		if again = unreadable(item, value); again {
			return nil
		}
		return fn(value)
	})
	if err != nil || !again {
		return err
	}
	value, ok, err := d.read(item.Key())
	if err != nil || !ok {
		return err
	}
	return fn(value)
}

// unreadable reports whether what Badger gave as the value of an item isn't. The size of what is kept in the log is known about only, but isn't zero.
func unreadable(item *badger.Item, value []byte) bool { return len(value) == 0 && item.ValueSize() > 0 }
