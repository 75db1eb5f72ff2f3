package sshdlog

// A conn is what tells the lines of one connection from those of others.
type conn struct{ host, pid string }

func (e *Event) conn() conn { return conn{e.Host, e.PID} }

// A process stands for a PID: one of up to eight bytes alone, a longer one
// together with others.
type process uint64

// processOf puts the bytes of a PID side by side, the first one lowest.
func processOf[T string | []byte](pid T) process {
	var id process
	for i := range len(pid) {
		id ^= process(pid[i]) << (i % 8 * 8)
	}
	return id
}

// maxWaiting bounds the events that wait for a later line.
const maxWaiting = 256

// waiting are events of which the user or the address is not known yet, in the
// order of their lines.
type waiting struct {
	events    []Event
	processes map[process]int // how many events wait for it
}

// add lets an event wait. It returns the oldest if there are too many.
func (w *waiting) add(e Event) (done []Event) {
	if w.processes == nil {
		w.processes = make(map[process]int)
	}
	if len(w.events) == maxWaiting {
		done = append(done, w.remove(0))
	}
	w.events = append(w.events, e)
	w.processes[processOf(e.PID)]++
	return done
}

func (w *waiting) remove(i int) Event {
	e := w.events[i]
	w.events = append(w.events[:i], w.events[i+1:]...)
	id := processOf(e.PID)
	if w.processes[id]--; w.processes[id] == 0 {
		delete(w.processes, id)
	}
	return e
}

// tell gives the events of the same connection what a line knows, and returns
// those that know all then. One that is about a key waits for the end of the login:
// where the next key lets in, nobody was refused.
func (w *waiting) tell(t *text, p *pattern, found *spans) (done []Event) {
	if found[user].to == 0 && found[addr].to == 0 {
		return nil
	}
	told := t.event(p, found)
	byKey := (p.name == "accepted" || p.name == "partial") && told.Reason == "publickey"
	ended := p.name == "accepted" || p.severity == Symptom || p.cause == "too-many-tries"
	for i := 0; i < len(w.events); {
		e := &w.events[i]
		if !e.shares(&told) {
			i++
			continue
		}
		if byKey && e.aboutKey() {
			w.remove(i)
			continue
		}
		if e.User == "" {
			e.User = told.User
		}
		if e.Addr == "" {
			e.Addr, e.Port = told.Addr, told.Port
		}
		if e.User == "" || e.Addr == "" || e.aboutKey() && !ended {
			i++
			continue
		}
		done = append(done, w.remove(i))
	}
	return done
}

// aboutKey reports whether the event means nothing where another key lets in.
func (e *Event) aboutKey() bool { return e.Cause == "key-refused" || e.Cause == "key-not-installed" }

// shares reports whether two events are of one connection: a PID is used again, and
// lines without one are of all connections.
func (e *Event) shares(o *Event) bool {
	if e.conn() != o.conn() {
		return false
	}
	if e.Port == "" || o.Port == "" {
		return e.PID != ""
	}
	return e.Port == o.Port && e.Addr == o.Addr
}

// drain returns all that wait.
func (w *waiting) drain() []Event {
	events := w.events
	*w = waiting{}
	return events
}
