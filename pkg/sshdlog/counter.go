package sshdlog

// A Counter merges events about the same thing: those with the same cause,
// path, line, user and key. Its memory is bounded, whatever names an attacker
// makes up: it keeps the first 200 of each cause.
type Counter struct {
	counts  []Count
	index   map[countKey]int
	kept    map[string]int // by group
	leftOut map[string]int
}

// A Count is an event as first seen. Its Times are those of all occurrences.
type Count struct {
	Event
	Last string // the time of the last one, as it stands in the log
}

// perCause is how many different events of one cause a Counter keeps.
const perCause = 200

// A countKey tells what is counted apart. The group is the cause, or the name of
// the pattern where there is none.
type countKey struct {
	group, path, user, key string
	line                   int
}

// Add counts an event.
func (c *Counter) Add(e Event) { c.add(e) }

// add returns where the event is counted, or -1 if it is left out.
func (c *Counter) add(e Event) int {
	c.init()
	group := e.Cause
	if group == "" {
		group = e.Name
	}
	k := countKey{group: group, path: e.Path, user: e.User, key: e.Key, line: e.Line}
	if i, ok := c.index[k]; ok {
		c.counts[i].Times += e.Times
		c.counts[i].Last = e.Time
		return i
	}
	if c.kept[group] == perCause {
		c.leftOut[e.Cause] += e.Times
		return -1
	}
	i := len(c.counts)
	c.kept[group]++
	c.index[k] = i
	c.counts = append(c.counts, Count{e, e.Time})
	return i
}

func (c *Counter) init() {
	if c.index == nil {
		c.index, c.kept, c.leftOut = make(map[countKey]int), make(map[string]int), make(map[string]int)
	}
}

// tallies returns its groups as they are.
func (c *Counter) tallies() tallies {
	all := make(tallies)
	for group, n := range c.kept {
		all[group] = tally{&users{all: make(map[string]int)}, n == perCause}
	}
	for k, i := range c.index {
		if k.path == "" && k.key == "" && k.line == 0 && !encoded([]byte(k.user)) {
			all[k.group].users.add(k.user, i)
		}
	}
	return all
}

// All returns the counted events, in the order in which they were first seen.
func (c *Counter) All() []Count { return c.counts }

// LeftOut returns how many events of each cause were not kept, because too many
// differ; "" is the cause of those that have none.
func (c *Counter) LeftOut() map[string]int { return c.leftOut }
