package kafka

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl/scram"
)

// certificate is one for 127.0.0.1 that signs itself.
func certificate(t *testing.T) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(cert)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pool
}

// TestDialsAsTheClient: through connections of each kind what was written is read, in memory that is used again.
func TestDialsAsTheClient(t *testing.T) {
	cert, pool := certificate(t)
	for _, c := range []struct {
		name   string
		broker []kfake.Opt
		cfg    Config
		fails  bool
	}{
		{name: "plain"},
		{name: "its own way to dial", cfg: Config{Dial: (&net.Dialer{}).DialContext}},
		{
			name: "TLS and SASL", broker: []kfake.Opt{kfake.TLS(&tls.Config{Certificates: []tls.Certificate{cert}}), kfake.EnableSASL(), kfake.Superuser("SCRAM-SHA-256", "u", "p")},
			cfg: Config{TLS: &tls.Config{RootCAs: pool}, SASL: scram.Auth{User: "u", Pass: "p"}.AsSha256Mechanism()},
		},
		{
			name: "TLS, a certificate that isn't trusted", broker: []kfake.Opt{kfake.TLS(&tls.Config{Certificates: []tls.Certificate{cert}})},
			cfg: Config{TLS: &tls.Config{}}, fails: true,
		},
		{
			name: "TLS, another name than the certificate's", broker: []kfake.Opt{kfake.TLS(&tls.Config{Certificates: []tls.Certificate{cert}})},
			cfg: Config{TLS: &tls.Config{RootCAs: pool, ServerName: "elsewhere.example"}}, fails: true,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			cluster, err := kfake.NewCluster(append(c.broker, kfake.NumBrokers(1), kfake.SeedTopics(2, "events"))...)
			if err != nil {
				t.Fatal(err)
			}
			defer cluster.Close()
			c.cfg.Brokers = cluster.ListenAddrs()
			c.cfg.EnsureDefaults()
			memory := newBuffers()
			cl, err := kgo.NewClient(append(c.cfg.clientOptions(slog.New(slog.DiscardHandler), memory),
				kgo.ConsumeTopics("events"), kgo.ProducerBatchCompression(kgo.Lz4Compression()), kgo.RequestRetries(1), kgo.FetchMaxWait(100*time.Millisecond))...)
			if err != nil {
				t.Fatal(err)
			}
			defer cl.Close()
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			err = cl.Ping(ctx)
			if c.fails != (err != nil) {
				t.Fatalf("%v, want an error: %v", err, c.fails)
			}
			if err != nil {
				return
			}
			readBack(ctx, t, cl)
			if memory.answers.Kept() == 0 {
				t.Error("the client had all answers in its own memory")
			}
		})
	}
}

// readBack writes records and reads them, each once, several times.
func readBack(ctx context.Context, t *testing.T, cl *kgo.Client) {
	t.Helper()
	text := strings.Repeat("some text that compresses, but not too well: 0123456789abcdefghijklmnopqrstuvwxyz ", 50)
	for round := range 5 {
		var records []*kgo.Record
		want := map[string]bool{}
		for i := range 1000 {
			value := fmt.Sprint(round, i, strings.ReplaceAll(text, "a", strconv.Itoa(i*i)))
			want[value] = true
			records = append(records, &kgo.Record{Topic: "events", Value: []byte(value)})
		}
		if err := cl.ProduceSync(ctx, records...).FirstErr(); err != nil {
			t.Fatal(err)
		}
		for len(want) > 0 {
			fetches := cl.PollFetches(ctx)
			if err := fetches.Err(); err != nil {
				t.Fatal(err)
			}
			fetches.EachRecord(func(r *kgo.Record) {
				if !want[string(r.Value)] {
					t.Fatalf("round %d: a record that wasn't written, or was read before: %.60q", round, r.Value)
				}
				delete(want, string(r.Value))
			})
		}
	}
}
