package answers_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"github.com/pierrec/lz4/v4"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-eql/weir/pipeline/kafka/answers"
)

// batch is one of n records of some 100 bytes as a broker sends it. Random text doesn't compress.
func batch(tb testing.TB, rng *rand.Rand, first int64, n int, codec int16) []byte {
	tb.Helper()
	var records []byte
	for i := range n {
		value := fmt.Appendf(nil, "%d:%s%d", first+int64(i), strings.Repeat("ab", 30), rng.Uint64())
		r := kmsg.Record{OffsetDelta: int32(i), Key: []byte("k"), Value: value}
		r.Length = int32(len(r.AppendTo(nil)) - 1) // of one byte: a length of 0
		if r.Length > 63 {
			r.Length--
			r.Length = int32(len(r.AppendTo(nil)) - 2)
		}
		records = r.AppendTo(records)
	}
	if codec != 0 {
		var out bytes.Buffer
		w := lz4.NewWriter(&out)
		if _, err := w.Write(records); err != nil {
			tb.Fatal(err)
		}
		if err := w.Close(); err != nil {
			tb.Fatal(err)
		}
		records = out.Bytes()
	}
	b := kmsg.RecordBatch{
		FirstOffset: first, Magic: 2, Attributes: codec, LastOffsetDelta: int32(n - 1), ProducerID: -1, NumRecords: int32(n), Records: records,
	}
	b.Length = int32(len(b.AppendTo(nil)) - 12)
	text := b.AppendTo(nil)
	binary.BigEndian.PutUint32(text[17:], crc32.Checksum(text[21:], crc32.MakeTable(crc32.Castagnoli)))
	return text
}

// response is an answer of one topic with the batches of each partition.
func response(version int16, partitions ...[]byte) *kmsg.FetchResponse {
	resp := kmsg.NewPtrFetchResponse()
	resp.Version = version
	topic := kmsg.NewFetchResponseTopic()
	topic.Topic, topic.TopicID = "events", [16]byte{1, 2, 3}
	if version < 13 {
		topic.TopicID = [16]byte{}
	} else {
		topic.Topic = ""
	}
	for i, batches := range partitions {
		p := kmsg.NewFetchResponseTopicPartition()
		p.Partition, p.HighWatermark, p.LastStableOffset, p.RecordBatches = int32(i), 1000, 999, batches
		p.AbortedTransactions = []kmsg.FetchResponseTopicPartitionAbortedTransaction{{ProducerID: 7, FirstOffset: 3}}
		if version >= 12 && i == 0 {
			p.CurrentLeader.LeaderID, p.CurrentLeader.LeaderEpoch = 3, 4
		}
		topic.Partitions = append(topic.Partitions, p)
	}
	resp.Topics = append(resp.Topics, topic)
	return resp
}

// frame is what stands on the wire for an answer.
func frame(correlation int32, resp *kmsg.FetchResponse) []byte {
	text := binary.BigEndian.AppendUint32(nil, 0)
	text = binary.BigEndian.AppendUint32(text, uint32(correlation))
	if resp.IsFlexible() {
		text = append(text, 0)
	}
	text = resp.AppendTo(text)
	binary.BigEndian.PutUint32(text, uint32(len(text)-4))
	return text
}

// request is the beginning of what the client sends, and as much as is looked at.
func request(key, version int16, correlation int32) []byte {
	text := binary.BigEndian.AppendUint32(nil, 12)
	text = binary.BigEndian.AppendUint16(text, uint16(key))
	text = binary.BigEndian.AppendUint16(text, uint16(version))
	text = binary.BigEndian.AppendUint32(text, uint32(correlation))
	return append(text, 0, 0, 0, 0)
}

// wire is a connection of which the broker's side is text, given in pieces.
type wire struct {
	net.Conn // nil: what isn't written here isn't called
	text     []byte
	rng      *rand.Rand
	sent     bytes.Buffer
	end      error
}

func (w *wire) Read(p []byte) (int, error) {
	if len(w.text) == 0 {
		return 0, w.end
	}
	n := copy(p, w.text[:min(len(w.text), 1+w.rng.IntN(10_000))])
	w.text = w.text[n:]
	return n, nil
}

func (w *wire) Write(p []byte) (int, error) { return w.sent.Write(p) }
func (w *wire) Close() error                { return nil }

func dial(tb testing.TB, m *answers.Memory, w *wire) net.Conn {
	tb.Helper()
	c, err := m.Dialer(func(context.Context, string, string) (net.Conn, error) { return w, nil })(tb.Context(), "tcp", "broker:9092")
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

// decompressor asks for what stubs stand for.
type decompressor struct {
	memory *answers.Memory
	usual  kgo.Decompressor
	stubs  atomic.Int64
	gone   atomic.Int64
}

func (d *decompressor) Decompress(src []byte, codec kgo.CompressionCodecType) ([]byte, error) {
	if b, ok := d.memory.Records(src); ok {
		d.stubs.Add(1)
		defer b.Done()
		if src = b.Records; src == nil {
			d.gone.Add(1)
			return nil, errors.New("gone")
		}
	}
	return d.usual.Decompress(src, codec)
}

// records are what the client makes of the first partition of an answer.
func records(tb testing.TB, text []byte, version int16, d kgo.Decompressor) (all []string, next int64, failed string) {
	tb.Helper()
	resp := kmsg.NewPtrFetchResponse()
	resp.Version = version
	text = text[8:]
	if resp.IsFlexible() {
		text = text[1:]
	}
	if err := resp.ReadFrom(text); err != nil {
		return nil, 0, err.Error()
	}
	var errs []error
	for _, t := range resp.Topics {
		for i := range min(len(t.Partitions), 10) { // a damaged one may have any number
			p, offset := kgo.ProcessFetchPartition(kgo.ProcessFetchPartitionOpts{Topic: t.Topic, IsolationLevel: kgo.ReadCommitted()}, &t.Partitions[i], d, nil)
			for _, r := range p.Records {
				all = append(all, fmt.Sprint(i, r.Offset, string(r.Key), string(r.Value)))
			}
			next += offset
			if p.Err != nil {
				errs = append(errs, p.Err)
			}
			t.Partitions[i].RecordBatches = nil
			if aborted := &t.Partitions[i].AbortedTransactions; len(*aborted) > 10 {
				*aborted = (*aborted)[:10]
			}
			all = append(all, fmt.Sprintf("%+v", t.Partitions[i]))
		}
	}
	return all, next, fmt.Sprint(errs)
}

func send(tb testing.TB, conn net.Conn, request []byte) {
	tb.Helper()
	if n, err := conn.Write(request); n != len(request) || err != nil {
		tb.Fatal(n, err)
	}
}

// receive reads an answer as the client does.
func receive(tb testing.TB, conn net.Conn) []byte {
	tb.Helper()
	got := make([]byte, 4)
	if _, err := io.ReadFull(conn, got); err != nil {
		tb.Fatal(err)
	}
	rest := make([]byte, binary.BigEndian.Uint32(got))
	if _, err := io.ReadFull(conn, rest); err != nil {
		tb.Fatal(err)
	}
	return append(got, rest...) //nolint:makezero // its length is that of what it holds
}

// TestTheClientSeesTheSame: whatever an answer has, the records, offsets and errors that the client makes of it are those of the answer itself.
func TestTheClientSeesTheSame(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	some := func(n int, codec int16) []byte { return batch(t, rng, 10, n, codec) }
	damaged := some(500, 3)
	damaged[len(damaged)-1] ^= 1
	old := some(500, 3)
	old[16] = 1
	for _, c := range []struct {
		name       string
		partitions [][]byte
		stubs      int64
	}{
		{"a batch", [][]byte{some(1000, 3)}, 1},
		{"several partitions and batches", [][]byte{slices.Concat(some(300, 3), batch(t, rng, 310, 400, 3)), some(500, 3), nil, {}}, 3},
		{"the last is cut", [][]byte{slices.Concat(some(700, 3), batch(t, rng, 710, 400, 3)[:5000])}, 1},
		{"the last is cut to less than its head", [][]byte{slices.Concat(some(600, 3), batch(t, rng, 310, 400, 3)[:40])}, 1},
		{"one isn't compressed", [][]byte{slices.Concat(some(600, 3), batch(t, rng, 700, 40, 0))}, 1},
		{"hardly anything is compressed", [][]byte{slices.Concat(some(100, 3), batch(t, rng, 310, 400, 0))}, 0},
		{"nothing is compressed", [][]byte{some(1000, 0)}, 0},
		{"small batches", [][]byte{bytes.Repeat(some(2, 3), 200)}, 0},
		{"damaged", [][]byte{damaged}, 0},
		{"one is damaged", [][]byte{slices.Concat(some(900, 3), damaged[:6000])}, 1},
		{"another codec", [][]byte{some(1000, 7)}, 1},
		{"an older kind", [][]byte{old}, 0},
		{"small", [][]byte{some(10, 3)}, 0},
	} {
		for version := int16(4); version <= kmsg.NewPtrFetchResponse().MaxVersion(); version++ {
			m := answers.New()
			m.Spoil()
			text := frame(5, response(version, c.partitions...))
			w := &wire{text: slices.Clone(text), rng: rng}
			conn := dial(t, m, w)
			send(t, conn, request(1, version, 5))
			got := receive(t, conn)
			if c.stubs == 0 && !bytes.Equal(got, text) {
				t.Errorf("%s, version %d: the answer was changed", c.name, version)
			}
			d := &decompressor{memory: m, usual: kgo.DefaultDecompressor()}
			all, next, failed := records(t, got, version, d)
			wantAll, wantNext, wantFailed := records(t, text, version, kgo.DefaultDecompressor())
			if !slices.Equal(all, wantAll) || next != wantNext || failed != wantFailed {
				t.Errorf("%s, version %d: %d lines, up to %d, %q; the answer itself has %d, up to %d, %q", c.name, version, len(all), next, failed, len(wantAll), wantNext, wantFailed)
			}
			if d.stubs.Load() != c.stubs || d.gone.Load() > 0 {
				t.Errorf("%s, version %d: %d stubs, %d of them gone, want %d", c.name, version, d.stubs.Load(), d.gone.Load(), c.stubs)
			}
		}
	}
}

// TestOtherAnswersPass: what answers anything but a fetch isn't touched, whatever it holds, and neither is a fetch of a version that isn't known.
func TestOtherAnswersPass(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	m := answers.New()
	fetched := frame(3, response(11, batch(t, rng, 0, 1000, 3)))
	unknown := frame(9, response(11, batch(t, rng, 0, 1000, 3)))
	texts := [][]byte{
		{0, 0, 0, 0},                             // the token of an authentication, before there are requests with ids
		{0, 0, 0, 2, 'o', 'k'},                   //
		frame(1, response(11, fetched)),          // of another request
		fetched,                                  //
		append([]byte{0, 0, 0, 4}, 0, 0, 0, 7),   // nothing but its id
		unknown,                                  //
		frame(10, response(11, []byte("small"))), //
		append(binary.BigEndian.AppendUint32(nil, 40_004), append([]byte{0, 0, 0, 11}, bytes.Repeat([]byte("x"), 40_000)...)...), // of a fetch, and no answer
	}
	w := &wire{text: slices.Concat(texts...), rng: rng}
	conn := dial(t, m, w)
	var sent []byte
	for _, r := range [][]byte{[]byte("\x00\x00\x00\x05token"), request(18, 3, 1), request(1, 11, 3), request(3, 9, 7), request(1, 19, 9), request(1, 11, 10), request(1, 11, 11)} {
		send(t, conn, r)
		sent = append(sent, r...)
	}
	if !bytes.Equal(w.sent.Bytes(), sent) {
		t.Error("requests were changed")
	}
	for i, want := range texts {
		got := receive(t, conn)
		if same := bytes.Equal(got, want); same != (i != 3) {
			t.Errorf("answer %d of %d bytes: got %d bytes, the same: %v", i, len(want), len(got), same)
		}
	}
}

// TestMemoryIsUsedAgain: an answer that the client has taken gives its memory to the next, and one that it hasn't doesn't.
func TestMemoryIsUsedAgain(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	m := answers.New()
	text := frame(1, response(13, batch(t, rng, 0, 2000, 3), batch(t, rng, 0, 2000, 3)))
	m.Spoil()
	one, two := dial(t, m, &wire{text: bytes.Repeat(text, 50), rng: rng}), dial(t, m, &wire{text: bytes.Repeat(text, 50), rng: rng})
	next := func(conn net.Conn) (a, b answers.Batch) {
		send(t, conn, request(1, 13, 1))
		var got [2]answers.Batch
		resp := kmsg.NewPtrFetchResponse()
		resp.Version = 13
		if err := resp.ReadFrom(receive(t, conn)[9:]); err != nil {
			t.Fatal(err)
		}
		for i := range got {
			var ok bool
			if got[i], ok = m.Records(resp.Topics[0].Partitions[i].RecordBatches[61:]); !ok || got[i].Records == nil {
				t.Fatal("no stub")
			}
			if b, ok := m.Records(resp.Topics[0].Partitions[i].RecordBatches[61:]); !ok || b.Records != nil {
				t.Fatal("a stub is good for more than one call")
			}
		}
		return got[0], got[1]
	}
	where := func(b answers.Batch) *byte { return unsafe.SliceData(b.Records) }
	seen := map[*byte]int{}
	for range 50 {
		a, b := next(one)
		seen[where(a)]++
		held := bytes.Clone(b.Records)
		a.Done()
		c, d := next(two) // b isn't done with
		if where(c) == where(a) || !bytes.Equal(b.Records, held) {
			t.Fatal("memory that is in use was used again")
		}
		b.Done()
		c.Done()
		d.Done()
	}
	if len(seen) > 25 { // the pool may lose some: collections, and the race detector on purpose
		t.Errorf("%d pieces of memory for 50 answers", len(seen))
	}
}

// stubsOf returns the stubs of an answer of batches of 2,000 records.
func stubsOf(text []byte) (stubs [][]byte) {
	number := []byte{0, 0, 7, 208}
	for i := bytes.Index(text, number); i >= 0; i = bytes.Index(text, number) {
		stubs, text = append(stubs, text[i+4:][:28]), text[i+4+28:]
	}
	return stubs
}

// TestDropped: of answers that the client has no use for one stays for each connection, and a few of those that were closed; what asks for another is told.
func TestDropped(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 8))
	m := answers.New()
	m.Spoil()
	text := frame(1, response(13, batch(t, rng, 0, 2000, 3)))
	var stubs [][]byte
	for range 20 {
		conn := dial(t, m, &wire{text: bytes.Repeat(text, 5), rng: rng})
		for range 5 {
			send(t, conn, request(1, 13, 1))
			stubs = append(stubs, stubsOf(receive(t, conn))...)
		}
		for range 2 {
			if err := conn.Close(); err != nil {
				t.Error(err)
			}
		}
	}
	if n := m.Pending(); n != 5 {
		t.Errorf("%d answers are kept, want one and four of closed connections", n)
	}
	left := 0
	for i, stub := range stubs {
		b, ok := m.Records(stub)
		if !ok {
			t.Fatalf("%q isn't a stub", stub)
		}
		if b.Records != nil {
			left++
		}
		if last := i%5 == 4 && i >= len(stubs)-25; last != (b.Records != nil) {
			t.Errorf("answer %d: kept %v, want %v", i, b.Records != nil, last)
		}
		b.Done()
	}
	if left != 5 || m.Pending() != 0 {
		t.Errorf("%d answers were kept, %d still are", left, m.Pending())
	}
	m.Forget()
}

// TestForgottenInUse: what is in use when it is forgotten isn't given to another answer.
func TestForgottenInUse(t *testing.T) {
	rng := rand.New(rand.NewPCG(17, 18))
	m := answers.New()
	m.Spoil()
	text := frame(1, response(13, slices.Concat(batch(t, rng, 0, 2000, 3), batch(t, rng, 2000, 2000, 3))))
	conn := dial(t, m, &wire{text: bytes.Repeat(text, 3), rng: rng})
	send(t, conn, request(1, 13, 1))
	first, ok := m.Records(stubsOf(receive(t, conn))[0])
	if !ok || first.Records == nil {
		t.Fatal("no stub")
	}
	want := bytes.Clone(first.Records)
	for range 2 {
		send(t, conn, request(1, 13, 1))
		receive(t, conn)
	}
	m.Forget()
	if !bytes.Equal(first.Records, want) {
		t.Error("memory in use was used again")
	}
	first.Done()
}

// TestUnknownParts: an answer with something that would be lost when it is written again passes.
func TestUnknownParts(t *testing.T) {
	rng := rand.New(rand.NewPCG(19, 20))
	plain := frame(1, response(13, batch(t, rng, 0, 2000, 3)))
	const tagsAt, topicsAt = 8, 19
	for name, text := range map[string][]byte{
		"tags of the header":                   slices.Concat(plain[:tagsAt], []byte{1, 0, 0}, plain[tagsAt+1:]),
		"a number in more bytes than it needs": slices.Concat(plain[:topicsAt], []byte{0x82, 0}, plain[topicsAt+1:]),
		"bytes behind it":                      slices.Concat(plain, []byte{0}),
	} {
		binary.BigEndian.PutUint32(text, uint32(len(text)-4))
		m := answers.New()
		m.Spoil()
		conn := dial(t, m, &wire{text: slices.Clone(text), rng: rng})
		send(t, conn, request(1, 13, 1))
		if got := receive(t, conn); !bytes.Equal(got, text) || m.Kept() != 0 {
			t.Errorf("%s: the answer was changed", name)
		}
	}
}

// TestForged: records that look like a stub, or are one of another memory, aren't one.
func TestForged(t *testing.T) {
	rng := rand.New(rand.NewPCG(21, 22))
	text := frame(1, response(13, batch(t, rng, 0, 2000, 3)))
	conn := dial(t, answers.New(), &wire{text: text, rng: rng})
	send(t, conn, request(1, 13, 1))
	other := stubsOf(receive(t, conn))[0]
	m := answers.New()
	for _, text := range [][]byte{nil, make([]byte, 28), bytes.Repeat([]byte{0xFF}, 28), make([]byte, 1000), other} {
		if _, ok := m.Records(text); ok {
			t.Errorf("%q is taken for a stub", text)
		}
	}
}

// TestWrongBroker: what isn't Kafka's protocol is for the client to tell: a listener that wants TLS answers with an alert of seven bytes, and one of HTTP with text.
func TestWrongBroker(t *testing.T) {
	for _, c := range []struct{ sent, want string }{
		{"\x15\x03\x03\x00\x02\x02\x0A", "tls"},
		{"HTTP/1.1 400 Bad Request\r\n\r\n", "HTTP"},
	} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		var all sync.WaitGroup
		all.Go(func() {
			for {
				conn, err := l.Accept()
				if err != nil {
					return
				}
				all.Go(func() {
					buf := make([]byte, 1000)
					_, _ = conn.Read(buf)
					_, _ = conn.Write([]byte(c.sent))
					_, _ = io.Copy(io.Discard, conn) // until the client has had enough
					_ = conn.Close()
				})
			}
		})
		cl, err := kgo.NewClient(kgo.SeedBrokers(l.Addr().String()), kgo.Dialer(answers.New().Dialer((&net.Dialer{}).DialContext)), kgo.RequestRetries(0), kgo.RetryTimeout(3*time.Second))
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		if err := cl.Ping(ctx); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: %v, want %s in it", c.sent, err, c.want)
		}
		cancel()
		cl.Close()
		_ = l.Close()
		all.Wait()
	}
}

// TestConnectionEnds: an answer that is cut off is an error, and stays one.
func TestConnectionEnds(t *testing.T) {
	rng := rand.New(rand.NewPCG(9, 10))
	text := frame(1, response(13, batch(t, rng, 0, 2000, 3)))
	broken := errors.New("broken")
	for _, end := range []error{io.EOF, broken} {
		for _, size := range []int{0, 1, 4, 6, 8, 9, 100, len(text) - 1} {
			for _, fetch := range []int16{0, 1} {
				conn := dial(t, answers.New(), &wire{text: text[:size], rng: rng, end: end})
				send(t, conn, request(fetch, 13, 1))
				_, err := io.ReadFull(conn, make([]byte, len(text))) // as much as the broker would have sent
				want := end
				if errors.Is(end, io.EOF) && size > 0 {
					want = io.ErrUnexpectedEOF
				}
				if !errors.Is(err, want) {
					t.Errorf("%d bytes: %v, want %v", size, err, want)
				}
				if n, again := conn.Read(make([]byte, 10)); n > 0 || again == nil {
					t.Errorf("%d bytes: %d more after the end", size, n)
				}
			}
		}
	}
}

// FuzzAnswers: whatever an answer to a fetch is, the client makes of what it sees what it would have made of the answer. edits are triples of a place, in
// heads as often as in records, and a byte to put there.
func FuzzAnswers(f *testing.F) {
	rng := rand.New(rand.NewPCG(11, 12))
	first, last := batch(f, rng, 0, 700, 3), batch(f, rng, 700, 700, 3)
	partitions := [][]byte{slices.Concat(first, last[:2000]), slices.Concat(batch(f, rng, 5, 10, 0), last)}
	f.Add(int16(13), []byte{})
	f.Add(int16(18), []byte{1, 30, 2, 0, 3, 1})
	f.Add(int16(4), []byte{0, 90, 0, 200, 255, 255})
	f.Add(int16(11), []byte{0, 70, 7})
	f.Fuzz(func(t *testing.T, version int16, edits []byte) {
		text := frame(1, response(version, partitions...))
		edits = edits[:min(len(edits), 60)]
		from := 8
		if version >= 12 { // from here on the library reads any number of tags, even where nothing is left to read: minutes
			from = bytes.Index(text, first[:16])
		}
		for ; len(edits) >= 3; edits = edits[3:] {
			at := from + int(edits[1])
			if edits[0]&1 != 0 {
				at = min(at+int(edits[0]/2)*256, len(text)-1)
			}
			if version >= 12 {
				at = min(at, from+len(partitions[0])-1)
			}
			text[at] = edits[2]
		}
		m := answers.New()
		conn := dial(t, m, &wire{text: slices.Clone(text), rng: rand.New(rand.NewPCG(1, 1))})
		send(t, conn, request(1, version, 1))
		got := receive(t, conn)
		if version < 4 || version > kmsg.NewPtrFetchResponse().MaxVersion() {
			if !bytes.Equal(got, text) {
				t.Fatal("an unknown version was changed")
			}
			return
		}
		d := &decompressor{memory: m, usual: kgo.DefaultDecompressor()}
		all, next, failed := records(t, got, version, d)
		wantAll, wantNext, wantFailed := records(t, text, version, kgo.DefaultDecompressor())
		if !slices.Equal(all, wantAll) || next != wantNext || failed != wantFailed {
			t.Errorf("%d lines, up to %d, %q; the answer itself has %d, up to %d, %q", len(all), next, failed, len(wantAll), wantNext, wantFailed)
		}
	})
}
