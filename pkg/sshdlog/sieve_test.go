package sshdlog

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"
)

// same demands that AddLog counts what a Scanner yields, copied or mapped.
func same(t *testing.T, log []byte, want Severity) (events int) {
	t.Helper()
	return sameFrom(t, log, want, iotest.HalfReader(bytes.NewReader(log)), &memory{Reader: *bytes.NewReader(log), log: log})
}

// sameFrom demands it of each reader.
func sameFrom(t *testing.T, log []byte, want Severity, readers ...io.Reader) (events int) {
	t.Helper()
	var plain Counter
	s := NewScanner(bytes.NewReader(log), want)
	for s.Scan() {
		plain.Add(s.Event())
		events++
	}
	for _, r := range readers {
		var quick Counter
		stats, err := quick.AddLog(r, want)
		if err != nil || stats != s.Stats() {
			t.Errorf("%T, severity %d: %+v, %v, the Scanner has %+v", r, want, stats, err, s.Stats())
		}
		if !maps.Equal(quick.LeftOut(), plain.LeftOut()) {
			t.Errorf("%T, severity %d: left out %v, of the Scanner's %v", r, want, quick.LeftOut(), plain.LeftOut())
		}
		for i := range min(len(quick.All()), len(plain.All())) {
			if quick.All()[i] != plain.All()[i] {
				t.Errorf("%T, severity %d: %d:\n got %+v\nwant %+v", r, want, i, quick.All()[i], plain.All()[i])
				break
			}
		}
		if len(quick.All()) != len(plain.All()) {
			t.Errorf("%T, severity %d: %d kept, of the Scanner's %d", r, want, len(quick.All()), len(plain.All()))
		}
	}
	return events
}

// A memory is a Mapper of which nothing may be used once it is given back.
type memory struct {
	bytes.Reader
	log    []byte
	mapped func(end int64) // called for each part
}

func (m *memory) Map(off int64, size int) (part []byte, unmap func(), err error) {
	if m.mapped != nil {
		m.mapped(off + int64(size))
	}
	part = bytes.Clone(m.log[off : off+int64(size)])
	return part, func() {
		for i := range part {
			part[i] = 'X'
		}
	}, nil
}

func TestMain(m *testing.M) {
	firstWindow = 1000
	os.Exit(m.Run())
}

// mixed makes a log of all examples in all formats but that of records, with
// users and PIDs that come again and some that do not, lines of other programs,
// and damage.
func mixed(messages []string, rnd *rand.Rand, lines int) []byte {
	var log []byte
	tags := []string{"sshd", "sshd", "sshd", "sshd-session", "sshd-auth", "dropbear", "ssh", "sudo", "CRON", "ss", "drop", "(sshd)", "[sshd]"}
	plain := formats[:slices.IndexFunc(formats, func(f format) bool { return f.name == "export" })]
	usual := plain[rnd.IntN(len(plain))]
	for range lines {
		m := messages[rnd.IntN(len(messages))]
		switch rnd.IntN(8) {
		case 0, 1:
			m = fmt.Sprintf("Invalid user u%d from 192.0.2.%d port 4242", rnd.IntN(400), rnd.IntN(8))
		case 2:
			m = fmt.Sprintf("Connection closed by authenticating user u%d 192.0.2.7 port 4242 [preauth]", rnd.IntN(400))
		case 3:
			m = m[:rnd.IntN(len(m)+1)]
		}
		switch rnd.IntN(30) {
		case 0:
			m += []string{" [preauth]", " [postauth]", "#015", "\r", " ", "#033", "\x00", strings.Repeat("x", 600), strings.Repeat("y", 2000)}[rnd.IntN(9)]
		case 1:
			m = []string{"error: ", "fatal: ", "debug1: ", " ", "[ID 1 auth.info] "}[rnd.IntN(5)] + m
		case 2:
			m = "message repeated " + strconv.Itoa(rnd.IntN(5)) + " times: [ " + m + "]"
		}
		f := usual
		if rnd.IntN(6) == 0 {
			f = plain[rnd.IntN(len(plain))]
		}
		pid := strconv.Itoa(rnd.IntN(60))
		if rnd.IntN(100) == 0 {
			pid = []string{"", "x", "1234567", "12345678", "123456789", "1]", "1[2", ":"}[rnd.IntN(8)]
		}
		line := []byte(f.line(tags[rnd.IntN(len(tags))], pid, m) + "\n")
		if rnd.IntN(40) == 0 {
			line[rnd.IntN(len(line))] = " :[]-T1\n\x00"[rnd.IntN(9)]
		}
		log = append(log, line...)
	}
	return log
}

// messagesOf are those of the examples.
func messagesOf(t *testing.T) []string {
	var all []string
	for _, x := range examples(t) {
		all = append(all, x.line)
	}
	return all
}

func TestAddLog(t *testing.T) {
	messages := messagesOf(t)
	for seed := range uint64(3) {
		log := mixed(messages, rand.New(rand.NewPCG(seed, 1)), 5000)
		for want := Context; want <= Refusal; want++ {
			if n := same(t, log, want); n < 400 {
				t.Fatalf("only %d events", n)
			}
		}
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

// A log of many pieces, of which the later ones are counted with what is known
// of the first ones.
func TestAddLogTallies(t *testing.T) {
	part := mixed(messagesOf(t), rand.New(rand.NewPCG(7, 8)), 5000)
	if n := same(t, bytes.Repeat(part, 5*pieceSize/len(part)), Refusal); n < 4000 {
		t.Errorf("only %d events", n)
	}
}

// What is counted at once may come before or after what is counted as the same
// only once it is understood.
func TestAddLogLast(t *testing.T) {
	lines := []string{
		"Nov 22 07:23:29 pi sshd[1]: Invalid user u from 192.0.2.1 port 1\n",
		"Nov 22 07:23:30 pi sshd[2]: Invalid user \\165 from 192.0.2.1 port 1\n",
	}
	part := strings.Repeat(lines[0]+lines[1], 4*pieceSize/len(lines[0]))
	for _, end := range []string{lines[0] + lines[1], lines[1] + lines[0], lines[1] + lines[0] + lines[1] + lines[0] + lines[0]} {
		same(t, []byte(part+end), Refusal)
	}
}

// A name is found by all of its bytes, of which any may be 0.
func TestUsers(t *testing.T) {
	u := users{all: make(map[string]int)}
	var names []string
	for n := range 20 {
		for _, end := range []string{"", "\x00", "\xff", "b"} {
			names = append(names, strings.Repeat("a", n)+end, strings.Repeat("\x00", n)+end)
		}
	}
	slices.Sort(names)
	names = slices.Compact(names)
	for i, name := range names {
		for j, name := range names {
			for _, room := range []int{0, 2 * wordSize} {
				b := append(make([]byte, 0, len(name)+room), name...)
				copy(b[len(b):cap(b)], "from somewhere else")
				if at, ok := u.find(b); ok != (j < i) || ok && at != j {
					t.Fatalf("%q: %d, %v after %d of %q", name, at, ok, i, names)
				}
			}
		}
		u.add(name, i)
	}
}

// run goes back to the last byte of another class.
func TestRun(t *testing.T) {
	is := map[class]func(c byte) bool{
		digits: isDigit,
		word:   func(c byte) bool { return c > ' ' && c != 0x7f },
	}
	for kind, is := range is {
		for n := range 3 * wordSize {
			for at := range n {
				for c := range 256 {
					b := bytes.Repeat([]byte{'0'}, n)
					b[at*5%n], b[at] = byte(c+at), byte(c)
					want := n
					for want > 0 && is(b[want-1]) {
						want--
					}
					if got := kind.run(b); got != want {
						t.Fatalf("%d %q: %d, not %d", kind, b, got, want)
					}
				}
			}
		}
	}
}

// Any byte may stand anywhere in a line that is else like those before and
// behind it.
func TestAddLogBytes(t *testing.T) {
	for _, head := range []string{
		"Nov 22 07:23:29.719436 pi.lan ",
		"2026-11-22T07:23:29.719890+00:00 pi ",
		"2026-11-22T07:23:29.719890+00:00 raspberrypi.home.arpa ",
	} {
		for _, line := range []string{
			head + "sshd[1234]: Invalid user u from 192.0.2.7 port 4242\n",
			head + "sshd-session[99]: Connection closed by 192.0.2.7 port 4242 [preauth]\n",
			head + "sshd-auth[123456]: Failed password for root from 192.0.2.7 port 4242 ssh2\n",
			head + "sudo[7]: pam_unix(sudo:session): session closed for user root\n",
		} {
			var log []byte
			for at := range len(line) - 1 {
				for c := at % 5; c < 256; c += 5 {
					log = append(log, line...)
					log = append(append(append(log, line[:at]...), byte(c)), line[at+1:]...)
				}
			}
			if same(t, log, Refusal); t.Failed() {
				t.Fatalf("like %q", line)
			}
		}
	}
}

// Users are counted by where their names end, which names, addresses and ends
// of all kinds try to hide.
func TestAddLogUsers(t *testing.T) {
	pick := func(rnd *rand.Rand, usual func() string, others ...string) string {
		if rnd.IntN(3) > 0 {
			return usual()
		}
		return others[rnd.IntN(len(others))]
	}
	long := func(n int) string { return strings.Repeat("n", n) }
	for seed := range uint64(3) {
		rnd := rand.New(rand.NewPCG(seed, 2))
		var log []byte
		for len(log) < 3*pieceSize {
			begin := pick(rnd, func() string { return "Invalid user " }, "error: Invalid user ", "Connection closed by invalid user ", "Close session: user ")
			name := pick(rnd, func() string { return "u" + strconv.Itoa(rnd.IntN(300)) },
				"", " ", "x", "#", "#011", "#165", "a#b", `\165`, `\\165`, `\043011`, "u1 ", "u1 from 192.0.2.7", "u1 from 192.0.2.7 port 1", " from ", " port 1", "from", "u\x00", "u\xff", long(15), long(16), long(17), long(100), long(1100))
			addr := pick(rnd, func() string { return " from 192.0.2." + strconv.Itoa(rnd.IntN(256)) },
				" from a", " from ", " from #", " from 1#011", " from 1#040", " from 1\x7f", " from 1\t2", " from fe80::1%eth0", " from host.example.org", " from [preauth]", " from two words", "  from 192.0.2.7", " FROM 192.0.2.7", " 192.0.2.7", "from 192.0.2.7", " from "+long(70), " from "+long(1100))
			end := pick(rnd, func() string { return " port " + strconv.Itoa(rnd.IntN(1<<16)) },
				"", " port ", " port", " port x", " port 1x", " port x1", " port #1", " port 1#", "  port 1", " port  1", " PORT 1", " qort 1", "port 1", " port 1 ", " port 1\r", " port 1#015", " port 1 [preauth]", " port 1 [postauth]", " port 1 ssh2", " port 1 id 2", " port 123456789", " port 1 port 2")
			log = append(append(log, formats[0].line("sshd", strconv.Itoa(rnd.IntN(60)), begin+name+addr+end)...), '\n')
		}
		for _, want := range []Severity{Context, Symptom, Refusal} {
			if n := same(t, log, want); n < 1000 {
				t.Errorf("only %d events", n)
			}
		}
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

// What the head is learned from may be of another program, or look like it.
func TestAddLogHeads(t *testing.T) {
	const stamp = "Nov 22 07:23:29 "
	tails := []string{"", "pi", "pi ", "pi foo", "pi foo ", "pi foo:", "pi foo: bar", "pi: foo", "foo: bar", "pi -- MARK --", "pi auth.info foo: bar", "pi foo.bar baz qux", "pi (foo)[1]: bar", "pi a: b"}
	message := "sshd[1]: Invalid user u from 192.0.2.7 port 4242"
	for _, tail := range slices.Clone(tails) {
		before, _, _ := strings.Cut(tail, "foo")
		tails = append(tails, before+message, strings.TrimSuffix(before, " ")+message, tail+message)
	}
	for _, first := range tails {
		for _, second := range tails {
			same(t, []byte(stamp+first+"\n"+strings.Repeat(stamp+second+"\n", 2)+strings.Repeat("x", 300)), Refusal)
		}
		if t.Failed() {
			t.Fatalf("after %q", first)
		}
	}
}

// What begins like a line that is known may go on as it likes: as one that is
// told by its end alone, or with less than it seems to have.
func TestAddLogBeginnings(t *testing.T) {
	var log []byte
	for range 2 {
		for _, p := range patterns {
			for form := range strings.SplitSeq(p.forms, " | ") {
				log = append(log, formats[0].line("sshd", "1", form)+"\n"...)
			}
		}
	}
	for _, m := range messagesOf(t) {
		for i := range len(m) + 1 {
			for j, end := range []string{": terminating, 3 bad configuration options", "[preauth]", "[preauth]\r", "[postauth]#015", "#012", ""} {
				level := ""
				if (i+j)%5 == 0 {
					level = "error: "
				}
				line := formats[0].line("sshd", strconv.Itoa(i), level+m[:i]+end) + "\n"
				log = append(append(log, line...), line...)
			}
		}
	}
	same(t, log, Refusal)
}

// What is not long enough to be another form, once its end is off, begins as it.
func TestAddLogShort(t *testing.T) {
	var log []byte
	for _, m := range []string{"error: Failed publickey [preauth]", "error: Failed publickey [preauth]", "error: Failed publickey for pi from 192.0.2.7 port 4242 ssh2: ED25519 SHA256:7T7PiS317baOCIoN0G8sHTytDTFJG4iiWRz09JBJWFY"} {
		log = append(append(log, formats[0].line("sshd", "1", m)...), '\n')
	}
	if n := same(t, append(log, bytes.Repeat([]byte("x"), 300)...), Refusal); n != 1 {
		t.Errorf("%d events", n)
	}
}

// Pieces end where they like; lines may be longer than they are.
func TestAddLogPieces(t *testing.T) {
	messages := messagesOf(t)
	const line = "Nov 22 07:23:29 pi sshd[1]: User pi from 192.0.2.1 not allowed because listed in DenyUsers\n"
	rnd := rand.New(rand.NewPCG(1, 2))
	var log []byte
	for _, n := range []int{0, 1, bufferSize - len(line), bufferSize - 2, bufferSize - 1, bufferSize, bufferSize + 1, pieceSize - 1, pieceSize, pieceSize + 1, 3*pieceSize + 5} {
		log = append(append(log, line...), mixed(messages, rnd, 1000)...)
		log = append(append(log, bytes.TrimSuffix([]byte(line), []byte("\n"))...), bytes.Repeat([]byte("z"), n)...)
		same(t, log, Refusal) // without an end
		log = append(log, '\n')
		same(t, log, Refusal)
	}
}

// What is mapped ends where large pages of the file do.
func TestAddLogWindows(t *testing.T) {
	defer func(size int) { firstWindow = size }(firstWindow)
	firstWindow = pieceSize
	const line = "Nov 22 07:23:29 pi sshd[1]: User pi from 192.0.2.1 not allowed because listed in DenyUsers\n"
	log := bytes.Repeat([]byte(line), 5*windowSize/len(line))
	var ends []int64
	sameFrom(t, log, Refusal, &memory{Reader: *bytes.NewReader(log), log: log, mapped: func(end int64) { ends = append(ends, end-slack) }})
	want := []int64{pieceSize, 2 * pieceSize, 4 * pieceSize, windowSize, 2 * windowSize, 3 * windowSize, 4 * windowSize}
	if !slices.Equal(ends, want) {
		t.Errorf("%d, not %d", ends, want)
	}
}

// Records of journalctl -o export may follow on lines, with newlines in them.
func TestAddLogExport(t *testing.T) {
	messages := messagesOf(t)
	export := formats[slices.IndexFunc(formats, func(f format) bool { return f.name == "export of bytes" })]
	for _, before := range []int{0, 10, 20_000} {
		rnd := rand.New(rand.NewPCG(3, uint64(before)))
		log := mixed(messages, rnd, before)
		for i := range 20_000 {
			log = append(log, export.line("sshd", strconv.Itoa(i), messages[rnd.IntN(len(messages))])+"\n"...)
		}
		log = append(log, mixed(messages, rnd, 1000)...)
		if n := same(t, log, Refusal); n < 5_000 {
			t.Errorf("only %d events", n)
		}
	}
}

func TestAddLogError(t *testing.T) {
	broken := errors.New("broken")
	const line = "Nov 22 07:23:29 pi sshd[1]: User pi from 192.0.2.1 not allowed because listed in DenyUsers\n"
	var c Counter
	stats, err := c.AddLog(io.MultiReader(strings.NewReader(strings.Repeat(line, 100_000)), iotest.ErrReader(broken)), Refusal)
	if err != broken || stats.Lines != 100_000 || len(c.All()) != 1 || c.All()[0].Times != 100_000 {
		t.Errorf("%v, %+v, %+v", err, stats, c.All())
	}
}

// The memory does not grow with the log.
func TestAddLogMemory(t *testing.T) {
	messages := messagesOf(t)
	part := mixed(messages, rand.New(rand.NewPCG(5, 6)), 10_000)
	used := func(parts int) uint64 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		var c Counter
		if _, err := c.AddLog(&repeated{part: part, left: parts * len(part)}, Refusal); err != nil {
			t.Fatal(err)
		}
		runtime.ReadMemStats(&after)
		return after.HeapSys - min(after.HeapSys, before.HeapSys)
	}
	used(5)
	if more := used(40); more > 16<<20 {
		t.Errorf("%d MB more for %d MB", more>>20, 40*len(part)>>20)
	}
}

// A repeated reader yields the same again and again.
type repeated struct {
	part     []byte
	at, left int
}

func (r *repeated) Read(b []byte) (int, error) {
	if r.left == 0 {
		return 0, io.EOF
	}
	n := copy(b[:min(len(b), r.left)], r.part[r.at:])
	r.at, r.left = (r.at+n)%len(r.part), r.left-n
	return n, nil
}

func FuzzAddLog(f *testing.F) {
	data, err := os.ReadFile("testdata/lines.txt")
	if err != nil {
		f.Fatal(err)
	}
	i := 0
	for s := range strings.Lines(string(data)) {
		message, _, _ := strings.Cut(s, "\t")
		f.Add([]byte(strings.Repeat(formats[i%len(formats)].line("sshd", "12", message)+"\n", 2)))
		i++
	}
	f.Fuzz(func(t *testing.T, log []byte) {
		same(t, log, []Severity{Refusal, Accepted}[len(log)%2])
	})
}
