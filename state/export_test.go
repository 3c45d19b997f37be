package state

import (
	"errors"
	"os"
)

// SetFault makes f decide, before each commit of a chunk but the first of a call, whether the process "dies"
// there: its error ends the call. committed is the number of chunks that were committed.
func (p *Partition) SetFault(f func(committed int) error) { p.afterChunk = f }

// SetChunk makes chunks smaller than the engine needs them.
func (p *Partition) SetChunk(count int) { p.maxCount = count }

// SetPatience changes after how many attempts that fail the store gives up.
func (s *Store) SetPatience(attempts int) { s.engine.(*disk).patience = attempts }

// Warn has the store take in a warning of Badger's.
func (s *Store) Warn(format string, args ...any) {
	d := s.engine.(*disk)
	bridge{d.log, d.flushes}.Warningf(format, args...)
}

// BootIDFile is where the id of the boot is read.
const BootIDFile = bootIDFile

// MarkerName is the file that says that a store is open.
const MarkerName = markerName

// ListName is the file that lists those of the value log.
const ListName = listName

// EncodeCheckpoint and DecodeCheckpoint are the codec of checkpoints.
func EncodeCheckpoint(c Checkpoint) []byte { return c.append(nil) }

// DecodeCheckpoint is the reverse of EncodeCheckpoint.
func DecodeCheckpoint(b []byte) (Checkpoint, error) { return decodeCheckpoint(b) }

// DestroyPart is Destroy by a process that is killed when it has removed n files.
func DestroyPart(dir string, n int) error {
	return destroy(dir, func(name string) error {
		if n--; n < 0 {
			return errors.New("killed")
		}
		return os.Remove(name)
	})
}
