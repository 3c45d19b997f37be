package term

import (
	"io"
	"time"

	"github.com/schollz/progressbar/v3"
)

// Progress is a bar on a terminal; nil, it shows nothing.
type Progress struct {
	bar *progressbar.ProgressBar
}

// NewProgress returns a bar over total bytes, or one that only counts where total is not positive. It is nil
// where the stream is no terminal.
func NewProgress(w io.Writer, s Style, title string, total int64) *Progress {
	if !s.Terminal {
		return nil
	}
	if total <= 0 {
		total = -1
	}
	return &Progress{bar: progressbar.NewOptions64(total,
		progressbar.OptionSetWriter(w), progressbar.OptionSetDescription(title), progressbar.OptionShowBytes(true),
		progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionClearOnFinish(),
		progressbar.OptionSetWidth(30), progressbar.OptionEnableColorCodes(s.Colour),
		progressbar.OptionSetPredictTime(total > 0))}
}

// Set moves the bar to what was done so far. A bar that can't be drawn is no reason to stop.
func (p *Progress) Set(done int64) {
	if p != nil {
		_ = p.bar.Set64(done)
	}
}

// Done clears the bar.
func (p *Progress) Done() {
	if p != nil {
		_ = p.bar.Finish()
	}
}
