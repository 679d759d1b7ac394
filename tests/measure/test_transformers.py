"""Networks of transformers: checkpoint folders, classes with a configuration, and `from_pretrained`, without a network.

They are skipped where transformers is not installed: `pip install "archcheck-torch[huggingface]"` installs it.
"""

from __future__ import annotations

import json
import shutil
import socket
from textwrap import dedent

import pytest

from archcheck import rules
from archcheck.foundation.errors import NotMeasured, SubjectError
from archcheck.measure.artifacts.source_or_file import subject_of
from archcheck.measure.model import measure_model
from tests.pages.page_blocks import Session, blocks

transformers = pytest.importorskip("transformers")

SIZES = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
WORDS = {**SIZES, "vocab_size": 99}
GROUPED = {**WORDS, "num_key_value_heads": 2}
IMAGE = {**SIZES, "image_size": 32, "patch_size": 8}
BOTH = {
    "d_model": 32, "encoder_layers": 2, "decoder_layers": 2, "encoder_attention_heads": 4, "decoder_attention_heads": 4,
    "encoder_ffn_dim": 64, "decoder_ffn_dim": 64, "vocab_size": 99, "pad_token_id": 0, "bos_token_id": 1,
    "eos_token_id": 2, "decoder_start_token_id": 1,
}  # fmt: skip
SOUND = {"num_mel_bins": 8, "max_source_positions": 20, "max_target_positions": 20}
CASES = [
    ("BertForMaskedLM", WORDS, [(1, 16)]),
    ("AlbertForMaskedLM", {**WORDS, "embedding_size": 16}, [(1, 16)]),
    ("XLNetLMHeadModel", {"d_model": 32, "n_layer": 1, "n_head": 4, "d_inner": 64, "vocab_size": 99}, [(1, 16)]),
    ("GemmaForCausalLM", {**GROUPED, "head_dim": 8}, [(1, 16)]),
    ("MixtralForCausalLM", {**GROUPED, "num_local_experts": 4}, [(1, 16)]),
    ("MambaForCausalLM", {"hidden_size": 16, "num_hidden_layers": 1, "vocab_size": 99, "state_size": 4}, [(1, 16)]),
    ("BartForSequenceClassification", BOTH, [(1, 16), (1, 16)]),
    ("WhisperForConditionalGeneration", {**BOTH, **SOUND}, [(1, 8, 40), (1, 16)]),
    ("ViTForImageClassification", IMAGE, [(1, 3, 32, 32)]),
    ("VideoMAEModel", {**IMAGE, "num_frames": 4}, [(1, 4, 3, 32, 32)]),
    ("CLIPModel", {"text_config": WORDS, "vision_config": IMAGE, "projection_dim": 16}, [(1, 16), (1, 3, 32, 32)]),
    ("LlavaForConditionalGeneration", {
        "text_config": {"model_type": "llama", **GROUPED}, "image_token_index": 98,
        "vision_config": {"model_type": "clip_vision_model", **IMAGE},
    }, [(1, 32), (1, 3, 32, 32)]),
]  # fmt: skip


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("the network was asked")

    for name in ("connect", "connect_ex"):
        monkeypatch.setattr(socket.socket, name, refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setenv("HF_HUB_CACHE", "nowhere")


def configured(name, values):
    config = getattr(transformers, name).config_class(**values)
    config.architectures = [name]
    return config


@pytest.fixture
def bert(tmp_path):
    configured("BertForMaskedLM", WORDS).save_pretrained(tmp_path / "bert")
    return tmp_path


def opened(root, target, **request):
    return subject_of({"target": target, "root": str(root), "careful": True, **request})


def refused(root, target, **request):
    with pytest.raises(SubjectError) as caught:
        opened(root, target, **request)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(("name", "values", "inputs"), CASES, ids=[name for name, *_ in CASES])
def test_a_configuration_is_built_and_measured_as_the_class_is(tmp_path, name, values, inputs):
    config = configured(name, values)
    config.save_pretrained(tmp_path / "net")
    subject = opened(tmp_path, "net")
    facts = measure_model(subject.model, example=subject.example(), target="net")
    real = getattr(transformers, name)(config)
    assert facts.params.total == sum(each.numel() for each in real.parameters())
    assert facts.subject.meta
    assert not facts.unmeasured
    assert [each.shape for each in facts.shape.inputs] == inputs
    assert f"as the configuration of {name} has it" in facts.subject.notes[0]


def test_the_tensors_in_a_folder_fit_as_transformers_loads_them(tmp_path):
    config = configured("MixtralForCausalLM", {**GROUPED, "num_local_experts": 4})
    transformers.MixtralForCausalLM(config).save_pretrained(tmp_path / "net", max_shard_size="100KB")
    subject = opened(tmp_path, "net")  # the experts are stored one by one, and joined in the model
    assert subject.notes[1].startswith("41 tensors of net/model.safetensors.index.json fit")
    table = json.loads((tmp_path / "net" / "config.json").read_text())
    for key, value, said in (
        ("vocab_size", 100, "`lm_head.weight` is 99x32 in the file, 100x32 in the model"),
        ("num_hidden_layers", 3, "missing `model.layers.2."),
    ):
        (tmp_path / "net" / "config.json").write_text(json.dumps({**table, key: value}))
        assert said in refused(tmp_path, "net")


def test_a_class_is_built_with_the_configuration_that_is_given(bert):
    default = opened(bert, "transformers:BertModel")
    assert sum(each.numel() for each in default.model.parameters()) == 109_482_240
    assert default.notes[0].startswith("built with the default values of `BertConfig`")
    small = opened(bert, "transformers:BertModel", args={"config": "bert/config.json", "add_pooling_layer": False})
    assert (small.model.pooler, small.model.config.hidden_size) == (None, 32)
    auto = opened(bert, "transformers:AutoModelForMaskedLM", args={"config": "bert", "num_hidden_layers": 1})
    assert type(auto.model).__name__ == "BertForMaskedLM"
    assert len(auto.model.bert.encoder.layer) == 1
    assert all(each.is_meta for subject in (default, small, auto) for each in subject.model.parameters())
    table = opened(bert, "transformers:AutoModel", args={"config": {"model_type": "gpt2", "n_layer": 1}})
    assert type(table.model).__name__ == "GPT2Model"


@pytest.mark.parametrize(
    ("target", "args", "said"),
    [
        ("transformers:AutoModel", {}, "needs a configuration; give its folder or file, `--args config=FOLDER`"),
        (
            "transformers:GPT2Model",
            {"config": "bert"},
            "`BertConfig`, where `transformers:GPT2Model` takes `GPT2Config`",
        ),
        ("transformers:BertModel", {"config": "none"}, "names `none`, which is no folder or file"),
        ("transformers:BertModel", {"hiden_size": 3}, "no value `hiden_size` to replace; did you mean `hidden_size`?"),
        ("bert", {"hiden_size": 3}, "no value `hiden_size` to replace; did you mean `hidden_size`?"),
    ],
)
def test_a_configuration_that_is_missing_or_wrong_is_one_line(bert, target, args, said):
    assert said in refused(bert, target, args=args)


def test_a_class_or_kind_that_is_not_known_is_one_line(bert):
    file = bert / "bert" / "config.json"
    table = json.loads(file.read_text())
    file.write_text(json.dumps({**table, "architectures": ["NewModel"]}))
    assert "names the class `NewModel`, which transformers" in refused(bert, "bert")
    file.write_text(json.dumps({"model_type": "new"}))
    assert "has the `model_type` `new`, which transformers" in refused(bert, "bert")


OWN = """
    from torch import nn
    from transformers import PretrainedConfig, PreTrainedModel

    class OwnConfig(PretrainedConfig):
        model_type = "own-kind"
        def __init__(self, width=4, **rest):
            self.width = width
            super().__init__(**rest)

    class OwnModel(PreTrainedModel):
        config_class = OwnConfig
        def __init__(self, config):
            super().__init__(config)
            self.line = nn.Linear(config.width, 2)
            self.post_init()
        def forward(self, x):
            return self.line(x)
"""


def test_code_beside_a_configuration_runs_only_from_the_folder_that_was_given(tmp_path):
    (tmp_path / "net").mkdir()
    (tmp_path / "net" / "modeling_own.py").write_text(dedent(OWN))
    table = {"model_type": "own-kind", "width": 8, "architectures": ["OwnModel"]}
    for reference in ("modeling_own.OwnModel", "org/other--modeling_own.OwnModel", "absent.OwnModel"):
        document = {**table, "auto_map": {"AutoModel": reference}}
        (tmp_path / "net" / "config.json").write_text(json.dumps(document))
        if reference == "modeling_own.OwnModel":
            assert opened(tmp_path, "net").model.line.in_features == 8
        else:
            assert "which is not in its folder, and no code is downloaded" in refused(tmp_path, "net")


USER = """
    from torch import nn
    from transformers import AutoModel, AutoTokenizer

    class Classifier(nn.Module):
        def __init__(self):
            super().__init__()
            self.tokens = AutoTokenizer.from_pretrained("org/bert")
            self.body = AutoModel.from_pretrained("org/bert").to("cpu")
            {more}
            self.head = nn.Linear(self.body.config.hidden_size, 3)

        def forward(self, input_ids, attention_mask):
            return self.head(self.body(input_ids, attention_mask).pooler_output)
"""


def user_file(root, more="pass"):
    (root / "net.py").write_text(dedent(USER.replace("{more}", more)))
    return "net.py:Classifier"


def test_from_pretrained_has_the_architecture_and_no_numbers(bert):
    subject = opened(bert, user_file(bert))
    assert subject.notes == (
        '`AutoModel.from_pretrained("org/bert")` at net.py:9 has the architecture of '
        f"{bert}/bert; its weights are not loaded: rules that need numbers cannot be judged",
    )
    facts = measure_model(subject.model, example=subject.example(), target="net.py:Classifier")
    assert facts.params.total == 37_923
    assert [each.shape for each in facts.shape.inputs] == [(1, 16), (1, 16)]
    with pytest.raises(NotMeasured) as caught:
        rules.FiniteOutput().check(facts.noting(subject.notes[0]))
    assert caught.value.fix.startswith("download its weights")


def test_code_that_reads_numbers_of_absent_weights_gets_random_ones_in_a_report_alone(bert):
    target = user_file(bert, "print(self.body.embeddings.word_embeddings.weight.sum().item())")
    subject = opened(bert, target)
    assert subject.notes[0].endswith("its weights are not loaded: random ones replace them")
    assert not any(each.is_meta for each in subject.model.parameters())
    said = refused(bert, target, careful=False, meta=True)
    assert "needs real numbers to be built" in said


def test_weights_on_this_machine_are_loaded(bert):
    model = transformers.BertForMaskedLM.from_pretrained(
        None, config=configured("BertForMaskedLM", WORDS), state_dict={}
    )
    model.save_pretrained(bert / "bert")
    subject = opened(bert, user_file(bert))
    assert subject.notes == ()
    loaded = subject.model.body.encoder.layer[0].output.dense.weight
    assert loaded.equal(model.bert.encoder.layer[0].output.dense.weight)


def test_a_contract_judges_the_architecture_where_weights_cannot_be_downloaded(bert):
    target = user_file(bert)
    file = bert / "net.py"
    code = file.read_text().replace('("org/bert").to', '("org/bert", local_files_only=True).to')
    file.write_text(code.replace('AutoTokenizer.from_pretrained("org/bert")', "None"))
    subject = opened(bert, target, careful=False)
    assert next(subject.model.body.parameters()).is_meta
    assert subject.notes[0].startswith('`AutoModel.from_pretrained("org/bert")` at net.py:9 has the architecture of')
    shutil.rmtree(bert / "bert")
    said = refused(bert, target, careful=False)
    assert said.startswith(
        '`AutoModel.from_pretrained("org/bert")` at net.py:9 needs the configuration of `org/bert`, '
    )
    assert "which is neither on this machine nor could it be downloaded" in said


def test_a_name_without_a_configuration_is_one_line(bert):
    target = user_file(bert)
    shutil.rmtree(bert / "bert")
    assert refused(bert, target).startswith(
        '`AutoModel.from_pretrained("org/bert")` at net.py:9 needs the configuration of `org/bert`, which is not on '
        "this machine; `hf download org/bert config.json` gets it, or put its `config.json` into a folder"
    )


def test_a_tokenizer_that_is_needed_is_named(bert):
    said = refused(bert, user_file(bert, "self.body.resize_token_embeddings(len(self.tokens))"))
    assert (
        said == '`AutoTokenizer.from_pretrained("org/bert")` is not on this machine, and the model needs it to be built'
    )


def test_an_input_that_no_configuration_tells_is_named_by_its_argument(tmp_path):
    sizes = {"prediction_length": 4, "context_length": 8, "d_model": 16, "encoder_layers": 1, "decoder_layers": 1}
    configured("TimeSeriesTransformerForPrediction", sizes).save_pretrained(tmp_path / "net")
    with pytest.raises(SubjectError, match="needs `past_time_features`, `past_observed_mask`, which its configuration"):
        measure_model(opened(tmp_path, "net").model)


def test_the_page_shows_what_a_folder_is(tmp_path):
    (console,) = [block for block in blocks("console", "targets") if "bert-tiny" in block.text]
    (table,) = [block for block in blocks("json", "targets") if block.file == "bert-tiny/config.json"]
    session = Session(tmp_path)
    session.follow(table)
    ((command, output),) = console.commands
    assert session.output_of(command) == output
