package eql_test
import ("testing";"time";"path/filepath";"github.com/weir-eql/weir/eql";"github.com/weir-eql/weir/event";"github.com/weir-eql/weir/event/ecs";"github.com/weir-eql/weir/eql/internal/lucene")
func TestZZ(t *testing.T){
 env := eql.NewEnv(event.NewSchema(ecs.TypeOf), eql.EnvOptions{})
 weak:=0
 coarse:=map[string]bool{"event.category":true,"event.type":true,"event.kind":true,"event.outcome":true,"host.os.type":true}
 st:=0
 for p,r := range corpus(t) {
  q,err:=env.Compile(r[0],eql.QueryOptions{CategoryField:r[1]}); if err!=nil{t.Fatal(err)}
  for i,s:=range q.Stages { st++
   good:=false
   for _,g:=range s.Needs(){ ok:=true; for _,n:=range g { if coarse[env.Schema().Field(n.Slot).Path]{ok=false}}; if ok {good=true} }
   if !good {weak++; if weak<25 { t.Log(filepath.Base(p),i, q.Explain().Stages[i].Condition)}}
  }
 }
 t.Log(weak,"of",st)
 for _,p:=range []string{".*a.{15}","(.*a.{20}){3}","((a{1,1000}){1,1000}){1,1000}","(a|b|c|d|e|f|g|h)*a.{13}","~(.*a.{12})&.*b.{12}.*"} { t0:=time.Now(); _,err:=lucene.Compile(p,true); t.Log(p,err,time.Since(t0)) }
}
