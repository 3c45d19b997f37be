package oracle

import "slices"

// Search is the search for one sequence under one join key. Events are known by their places in the order of the search.
type Search struct {
	Times   []int64 // event times by place, in milliseconds
	Stages  []Stage
	Untils  []int // places of the events that hit until, ascending
	Maxspan int64 // milliseconds, 0 for none
}

// Stage is one bracket of a sequence.
type Stage struct {
	Places  []int // of the events that hit it under the join key, ascending
	Runs    int   // 1 where the query doesn't say
	Missing bool
}

// Chains returns the matches: for each the places of its events, those of stages that must be missing left out. It goes
// stage by stage over all events, as Elasticsearch does: the event of a stage takes the newest chain that ended before it,
// and what was older is lost.
func (s *Search) Chains() [][]int {
	var chains [][]int
	first := true
	for i := range s.Stages {
		stage := &s.Stages[i]
		if stage.Missing {
			continue
		}
		for range stage.Runs {
			if !first {
				chains = s.extend(chains, stage.Places)
				continue
			}
			first = false
			for _, at := range stage.Places {
				chains = append(chains, []int{at})
			}
		}
	}
	return slices.DeleteFunc(chains, s.forbidden)
}

func (s *Search) extend(chains [][]int, hits []int) [][]int {
	var out [][]int
	taken := map[int]bool{}
	for _, at := range hits {
		newest := -1
		for i, c := range chains {
			if last := c[len(c)-1]; last < at && (newest < 0 || last > chains[newest][len(chains[newest])-1]) {
				newest = i
			}
		}
		if newest < 0 || taken[newest] {
			continue
		}
		taken[newest] = true
		c := chains[newest]
		last := c[len(c)-1]
		late := s.Maxspan > 0 && s.Times[at]-s.Times[c[0]] > s.Maxspan
		ended := slices.ContainsFunc(s.Untils, func(u int) bool { return last <= u && u < at })
		if !late && !ended {
			out = append(out, append(slices.Clone(c), at))
		}
	}
	return out
}

// forbidden reports whether events of missing stages discard a chain.
func (s *Search) forbidden(c []int) bool {
	first, last := s.Times[c[0]], s.Times[c[len(c)-1]]
	leading, trailing := []int64{}, []int64{}
	leads, trails := false, false
	seen := 0 // positive stages so far
	for i := range s.Stages {
		stage := &s.Stages[i]
		if !stage.Missing {
			seen += stage.Runs
			continue
		}
		for _, place := range stage.Places {
			t := s.Times[place]
			switch {
			case seen == 0 && t < first:
				leading = append(leading, t)
			case seen == len(c) && t > last:
				trailing = append(trailing, t)
			case seen > 0 && seen < len(c) && s.Times[c[seen-1]] < t && t < s.Times[c[seen]]:
				return true
			}
		}
		leads = leads || seen == 0
		trails = trails || seen == len(c)
	}
	switch {
	case leads && trails:
		return len(leading) > 0 && len(trailing) > 0 && slices.Min(trailing)-slices.Max(leading) <= s.Maxspan
	case leads:
		return len(leading) > 0 && last-slices.Max(leading) <= s.Maxspan
	case trails:
		return len(trailing) > 0 && slices.Min(trailing)-first <= s.Maxspan
	}
	return false
}

// Events returns the events of a chain, one for each place in the alert: -1 stands for a missing stage.
func (s *Search) Events(chain []int) []int {
	var out []int
	for i := range s.Stages {
		for range s.Stages[i].Runs {
			if s.Stages[i].Missing {
				out = append(out, -1)
				continue
			}
			out = append(out, chain[0])
			chain = chain[1:]
		}
	}
	return out
}
